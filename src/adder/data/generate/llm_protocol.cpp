#include "adder/data/generate/llm_protocol.h"

#include <algorithm>

#include "adder/base/error.h"
#include "adder/base/printable.h"

namespace adder::data {
namespace {

constexpr int64_t kMaxTokens = 1 << 30;  // that an answer may say it has: they are added up

const char* path_of(LlmApi api) {
  switch (api) {
    case LlmApi::kOllamaGenerate:
      return "/api/generate";
    case LlmApi::kOllamaChat:
      return "/api/chat";
    default:
      return "/v1/chat/completions";
  }
}

io::Json messages_of(const LlmServer& server, std::string_view prompt) {
  io::Json messages = io::Json::array();
  if (!server.system.empty()) messages.push_back({{"role", "system"}, {"content", server.system}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  return messages;
}

[[noreturn]] void fail_format(const std::string& why) {
  throw Error(ErrorKind::kFormat, {.what = "the server's answer is not what the API promises",
                                   .why = why,
                                   .next = "is --backend (and --api) what this server speaks?"});
}

}  // namespace

io::HttpUrl llm_url(LlmApi api, std::string_view endpoint) {
  io::HttpUrl url = io::parse_http_url(endpoint);
  if (url.target.find('?') != std::string::npos) {
    throw Error(ErrorKind::kUsage,
                {.what = "the server's address has a query (\"?\")",
                 .next = "give the address alone: its path is found, and a key goes in --key-env"});
  }
  const std::string_view path = path_of(api);
  std::string target = url.target;
  while (target.ends_with('/')) target.pop_back();
  if (target.ends_with(path)) {
    url.target = target;
  } else if (api == LlmApi::kOpenAiChat && target.ends_with("/v1")) {
    url.target = target + std::string(path.substr(3));
  } else {
    url.target = target + std::string(path);
  }
  return url;
}

io::HttpRequest llm_request(const LlmServer& server, std::string_view prompt, int64_t seed) {
  io::Json body = {{"model", server.model}};
  if (server.api == LlmApi::kOllamaGenerate) {
    body["prompt"] = prompt;
    if (!server.system.empty()) body["system"] = server.system;
  } else {
    body["messages"] = messages_of(server, prompt);
  }
  body["stream"] = server.stream;
  if (server.api == LlmApi::kOpenAiChat) {
    body["temperature"] = server.temperature;
    body["max_tokens"] = server.max_tokens;
    body["seed"] = seed;
    if (server.stream) body["stream_options"] = {{"include_usage", true}};
  } else {
    body["options"] = {
        {"temperature", server.temperature}, {"num_predict", server.max_tokens}, {"seed", seed}};
  }
  io::HttpRequest request{.url = server.url};
  request.fields = {{"Content-Type", "application/json"}};
  if (!server.key.empty()) request.fields.emplace_back("Authorization", "Bearer " + server.key);
  request.body = body.dump(-1, ' ', false, io::Json::error_handler_t::replace);
  return request;
}

bool LlmReplyReader::feed(std::string_view piece) {
  pending_ += piece;
  if (!stream_) return true;
  size_t begin = 0;
  for (size_t end; !done_ && (end = pending_.find('\n', begin)) != std::string::npos;) {
    take_line(std::string_view(pending_).substr(begin, end - begin));
    begin = end + 1;
  }
  pending_.erase(0, begin);
  return !done_;
}

LlmReply LlmReplyReader::finish() {
  if (!stream_) {
    take(io::parse_json(pending_, "the server's answer"));
  } else if (!done_) {
    take_line(pending_);  // the last line may lack its end
  }
  if (!done_ && !ended_) fail_format("it ends before the text does");
  return std::move(reply_);
}

void LlmReplyReader::take_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (api_ == LlmApi::kOpenAiChat) {
    // Server-sent events: of their fields only "data" is used; a line with ":" first is a comment.
    if (!line.starts_with("data:")) return;
    line.remove_prefix(5);
    if (line.starts_with(' ')) line.remove_prefix(1);
    if (line == "[DONE]") {
      done_ = true;
      return;
    }
  }
  if (!line.empty()) take(io::parse_json(line, "the server's answer"));
}

void LlmReplyReader::take(const io::Json& message) {
  const io::JsonView view(message, "the server's answer");
  if (!message.is_object()) view.fail("an object");
  if (view.has("error")) {
    throw Error(ErrorKind::kIo, {.what = "the server reports an error",
                                 .why = llm_error_text(message.dump(), key_)});
  }
  if (api_ == LlmApi::kOpenAiChat) {
    take_openai(view);
  } else {
    take_ollama(view);
  }
}

void LlmReplyReader::take_ollama(const io::JsonView& view) {
  if (api_ == LlmApi::kOllamaChat) {
    if (const auto said = view.find("message")) reply_.text += said->string("content", "");
  } else {
    reply_.text += view.string("response", "");
  }
  if (!view.boolean("done", false)) {
    if (!stream_) fail_format("\"done\" is not true");
    return;
  }
  done_ = true;
  if (view.has("eval_count")) reply_.tokens = view.at("eval_count").as_integer(0, kMaxTokens);
  reply_.cut = view.string("done_reason", "") == "length";
}

void LlmReplyReader::take_openai(const io::JsonView& view) {
  if (const auto usage = view.find("usage"); usage && usage->has("completion_tokens")) {
    reply_.tokens = usage->at("completion_tokens").as_integer(0, kMaxTokens);
  }
  const auto choices = view.at("choices").items();
  if (choices.empty()) return;  // the event that brings the usage
  if (const auto said = choices[0].find(stream_ ? "delta" : "message")) {
    reply_.text += said->string("content", "");
  }
  const std::string reason = choices[0].string("finish_reason", "");
  if (reason == "length" || reason == "content_filter") reply_.cut = true;
  if (!reason.empty()) ended_ = true;
  // A stream goes on to its "[DONE]", with the usage before it.
  if (!stream_) done_ = true;
}

std::string without_key(std::string text, const std::string& key) {
  constexpr std::string_view kShown = "(key)";
  for (size_t at = 0; !key.empty() && (at = text.find(key, at)) != std::string::npos;) {
    text.replace(at, key.size(), kShown);
    at += kShown.size();
  }
  return text;
}

std::string llm_error_text(std::string_view body, const std::string& key) {
  constexpr size_t kMaxBytes = 300;
  const auto shown = [&key](const std::string& text) {
    return printable(without_key(text, key), kMaxBytes);
  };
  try {
    const io::Json json = io::parse_json(body, "", {.max_bytes = 1 << 20, .max_depth = 16});
    if (json.is_object() && json.contains("error")) {
      const io::Json& error = json["error"];
      if (error.is_string()) return shown(error.get<std::string>());
      if (error.is_object() && error.contains("message") && error["message"].is_string()) {
        return shown(error["message"].get<std::string>());
      }
    }
  } catch (const Error&) {
    // Not JSON: its own words, then.
  }
  std::string words(body);
  std::ranges::replace(words, '\n', ' ');
  return shown(words);
}

}  // namespace adder::data
