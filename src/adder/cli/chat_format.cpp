#include "adder/cli/chat_format.h"

#include <algorithm>

#include "adder/base/error.h"
#include "adder/base/printable.h"
#include "adder/cli/output.h"

namespace adder::cli {

ChatFormat::ChatFormat(std::optional<text::ChatTemplate> chat, std::string system, Plain plain)
    : chat_(std::move(chat)), system_(std::move(system)), plain_(std::move(plain)) {
  if (chat_ || system_.empty()) return;
  throw Error(ErrorKind::kUsage, {.what = "a system message needs a chat template",
                                  .where = "--system",
                                  .next = "name one with --template"});
}

std::vector<int32_t> ChatFormat::turn(const text::Tokenizer& tokenizer, std::string_view line,
                                      std::span<const int32_t> before, Ended ended) const {
  if (!chat_) {
    const std::string text = std::string(line) + plain_.after;
    if (before.empty()) return text::encode_beginning(tokenizer, text);
    if (ended == Ended::kByToken) return tokenizer.encode(text);
    const std::string between = ended == Ended::kNo ? plain_.between : "";
    return tokenizer.encode(between + text, {.before = text::Before::kText});
  }
  if (before.empty()) {
    std::vector<text::ChatMessage> messages;
    if (!system_.empty()) messages.push_back({"system", system_});
    messages.push_back({"user", std::string(line)});
    return chat_->encode(messages, tokenizer, /*add_generation_prompt=*/true).ids;
  }
  std::vector<int32_t> ids = after_answer(tokenizer, line);
  // The beginning of these may have been drawn: a control token, or the text that ends an answer.
  for (std::size_t drawn = std::min(ids.size(), before.size()); drawn > 0; --drawn) {
    if (!std::ranges::equal(before.last(drawn), std::span(ids).first(drawn))) continue;
    ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(drawn));
    break;
  }
  return ids;
}

std::vector<int32_t> ChatFormat::after_answer(const text::Tokenizer& tokenizer,
                                              std::string_view line) const {
  // What was said before does not matter to what follows an answer.
  const std::vector<text::ChatMessage> messages = {
      {"user", "x"}, {"assistant", "x"}, {"user", std::string(line)}};
  const auto pieces = chat_->pieces(messages, /*add_generation_prompt=*/true);
  const auto words = std::ranges::find_if(
      pieces, [](const text::ChatPiece& piece) { return piece.answer && !piece.control; });
  const auto said = static_cast<std::size_t>(words - pieces.begin()) + 1;
  const auto whole = chat_->encode(pieces, tokenizer).ids;
  const auto read = chat_->encode(std::span(pieces).first(said), tokenizer).ids.size();
  return {whole.begin() + static_cast<std::ptrdiff_t>(read), whole.end()};
}

AnswerEnds ChatFormat::ends(const text::Tokenizer& tokenizer, std::vector<int32_t> tokens) const {
  AnswerEnds ends{std::move(tokens), {}};
  if (!chat_ || chat_->answer_end().empty()) return ends;
  const int32_t first = after_answer(tokenizer, "x").front();
  if (tokenizer.is_control(first)) {
    ends.tokens.push_back(first);
  } else {
    ends.texts.push_back(chat_->answer_end());
  }
  return ends;
}

std::optional<text::ChatTemplate> find_chat_template(const std::string& name,
                                                     const std::string& folder) {
  if (!name.empty()) return text::load_chat_template(name);
  try {
    return text::load_chat_template(folder);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kUnsupported) {
      say("warning: the model's chat template cannot be used; lines are read as they are (" +
          printable(error.text().why, 500) + ")");
    } else if (error.kind() != ErrorKind::kNotFound) {
      throw;
    }
  }
  return std::nullopt;
}

}  // namespace adder::cli
