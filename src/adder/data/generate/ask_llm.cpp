#include "adder/data/generate/ask_llm.h"

#include <fmt/format.h>

#include <array>

#include "adder/base/error.h"
#include "adder/base/printable.h"

namespace adder::data {
namespace {

/// A server may send back what it was sent, and what steers a terminal.
std::string harmless(std::string text, const std::string& key) {
  constexpr size_t kMaxBytes = 500;
  return printable(without_key(std::move(text), key), kMaxBytes);
}

/// "application/json" of "Application/JSON; charset=utf-8".
std::string media_type(std::string_view field) {
  std::string type(field.substr(0, field.find_first_of("; \t")));
  for (char& c : type) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return type;
}

bool is_api_type(std::string_view type) {
  constexpr std::array<std::string_view, 4> kTypes = {"application/json", "application/x-ndjson",
                                                      "text/event-stream", "text/plain"};
  if (type.empty()) return true;
  for (const auto known : kTypes) {
    if (type.starts_with(known)) return true;
  }
  return false;
}

LlmOutcome outcome_of(const Error& error, const std::string& key) {
  LlmOutcome outcome;
  const bool again = error.kind() == ErrorKind::kIo || error.kind() == ErrorKind::kFormat;
  outcome.kind = again ? LlmOutcome::kAgain : LlmOutcome::kFatal;
  const ErrorText& text = error.text();
  outcome.reason = text.what;
  for (const std::string& part : {text.where, text.why}) {
    if (!part.empty()) outcome.reason += ": " + part;
  }
  outcome.reason = harmless(outcome.reason, key);
  return outcome;
}

LlmOutcome refusal(const io::HttpResponse& response, const std::string& words,
                   const LlmServer& server) {
  LlmOutcome outcome;
  const int status = response.status;
  const bool nothing_works = status == 401 || status == 403 || status == 404 || status == 405 ||
                             (status >= 300 && status < 400);
  outcome.kind = worth_retrying(status) ? LlmOutcome::kAgain
                 : nothing_works        ? LlmOutcome::kFatal
                                        : LlmOutcome::kFail;
  outcome.reason = fmt::format("HTTP {}", status);
  const std::string said = llm_error_text(words, server.key);
  if (!said.empty()) outcome.reason += ": " + said;
  outcome.wait = retry_after(response.retry_after, std::chrono::system_clock::now());
  return outcome;
}

}  // namespace

LlmOutcome ask_llm(const LlmServer& server, std::string_view prompt, int64_t seed,
                   Milliseconds timeout, std::stop_token stop) {
  // Streamed JSON takes a hundred bytes and more for each token.
  io::HttpLimits limits{.total = timeout};
  limits.body_bytes = (1 << 20) + 1024 * server.max_tokens;
  constexpr size_t kMaxErrorBytes = 64 << 10;
  std::string error_body;
  std::optional<LlmReplyReader> reader;
  bool wrong_type = false;
  const auto take = [&](const io::HttpResponse& response, std::string_view piece) {
    if (response.status != 200) {
      error_body += piece.substr(0, kMaxErrorBytes - error_body.size());
      return error_body.size() < kMaxErrorBytes;
    }
    const std::string type = media_type(response.content_type);
    wrong_type = !is_api_type(type);
    if (wrong_type) return false;
    if (!reader) {
      LlmServer as = server;  // some servers do not stream even when asked to
      const bool whole = type == "application/json";
      if (whole && server.api == LlmApi::kOpenAiChat) as.stream = false;
      reader.emplace(as);
    }
    return reader->feed(piece);
  };
  try {
    const auto request = llm_request(server, prompt, seed);
    const auto response = io::http_exchange(request, limits, take, std::move(stop));
    if (response.status != 200) return refusal(response, error_body, server);
    if (wrong_type) {
      return {.kind = LlmOutcome::kFail,
              .reason = harmless("the answer is no JSON: its type is " + response.content_type,
                                 server.key)};
    }
    if (!reader) reader.emplace(server);
    return {.reply = reader->finish()};
  } catch (const Error& error) {
    return outcome_of(error, server.key);
  }
}

}  // namespace adder::data
