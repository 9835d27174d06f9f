#include "adder/data/conversations.h"

#include <fmt/format.h>

#include <algorithm>

#include "adder/base/error.h"

namespace adder::data {
namespace {

constexpr std::string_view kAnswerer = "assistant";
constexpr std::string_view kRoles[] = {"system", "user", kAnswerer};

std::string text_of(const io::JsonView& view) {
  std::string text = view.as_string();
  if (text.find('\0') != std::string::npos) view.fail("a text without NUL (\\u0000)");
  return text;
}

Conversation messages_of(const io::JsonView& messages) {
  Conversation conversation;
  for (const io::JsonView& message : messages.items()) {
    const std::string role = message.at("role").as_string();
    if (std::ranges::find(kRoles, role) == std::end(kRoles)) {
      message.at("role").fail("\"system\", \"user\" or \"assistant\"");
    }
    conversation.push_back({.role = role, .content = text_of(message.at("content"))});
  }
  return conversation;
}

Conversation pair_of(std::string question, std::string answer) {
  return {{.role = "user", .content = std::move(question)},
          {.role = std::string(kAnswerer), .content = std::move(answer)}};
}

}  // namespace

Conversation parse_conversation(const io::Json& line, const std::string& place) {
  const io::JsonView view(line, place);
  Conversation conversation;
  if (line.is_object() && view.has("messages")) {
    conversation = messages_of(view.at("messages"));
  } else if (line.is_object() && view.has("completion")) {
    conversation = pair_of(text_of(view.at("prompt")), text_of(view.at("completion")));
  } else if (line.is_object() && view.has("output")) {
    const auto input = view.find("input");
    const std::string more = input ? text_of(*input) : "";
    conversation = pair_of(text_of(view.at("instruction")) + (more.empty() ? "" : "\n\n" + more),
                           text_of(view.at("output")));
  } else {
    throw Error(ErrorKind::kFormat,
                {.what = "this is no conversation",
                 .where = place,
                 .why = "it has none of \"messages\", \"completion\" and \"output\"",
                 .next = "write {\"messages\": [{\"role\": ..., \"content\": ...}, ...]}, "
                         "{\"prompt\": ..., \"completion\": ...} or {\"instruction\": ..., "
                         "\"output\": ...}; plain texts need no data.chat_template"});
  }
  const bool answered = std::ranges::any_of(conversation, [](const text::ChatMessage& message) {
    return message.role == kAnswerer && !message.content.empty();
  });
  if (!answered) {
    throw Error(ErrorKind::kFormat, {.what = "a conversation has no answer",
                                     .where = place,
                                     .why = "the assistant says nothing, so nothing is learnt",
                                     .next = "leave the line out"});
  }
  return conversation;
}

ConversationStream::ConversationStream(std::vector<std::filesystem::path> files)
    : walk_(files, "conversation",
            [](const auto& file) { return std::make_unique<LineReader>(file); }) {
  for (const auto& file : files) {
    if (is_jsonl(file)) continue;
    throw Error(ErrorKind::kFormat, {.what = "conversations are read from jsonl",
                                     .where = file.string(),
                                     .why = "data.chat_template is given, and this is plain text",
                                     .next = "name .jsonl files (or .gz, .zst of them)"});
  }
}

bool ConversationStream::next(Conversation& conversation) {
  io::Json line;
  if (!walk_.next(line)) return false;
  conversation = parse_conversation(line, place());
  return true;
}

}  // namespace adder::data
