// What a line of a conversation becomes before the model reads it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adder/text/chat_template.h"

namespace adder::cli {

/// What ends an answer: one of these tokens, or one of these texts.
struct AnswerEnds {
  std::vector<int32_t> tokens;
  std::vector<std::string> texts;
};

/// How the last answer ended: not by itself, with a text that ends answers, or with such a token.
enum class Ended { kNo, kByText, kByToken };

class ChatFormat {
 public:
  /// What stands around a line where there is no template: `between` an answer that did not end by
  /// itself and the next line, `after` each line.
  struct Plain {
    std::string between, after;
  };
  /// `system`: a message before the first line; needs a template (kUsage).
  ChatFormat(std::optional<text::ChatTemplate> chat, std::string system, Plain plain);

  /// The tokens that follow `before` (the last ones read or drawn): the end of the last answer, as
  /// far as it was not drawn, the line, and the beginning of an answer. `ended` counts only without
  /// a template.
  std::vector<int32_t> turn(const text::Tokenizer& tokenizer, std::string_view line,
                            std::span<const int32_t> before, Ended ended) const;

  /// `tokens`, and what the template ends an answer with.
  AnswerEnds ends(const text::Tokenizer& tokenizer, std::vector<int32_t> tokens) const;

  /// The template's name; "" without one.
  std::string name() const { return chat_ ? chat_->name() : ""; }

 private:
  /// What follows an answer: its end, `line`, and the beginning of the next one.
  std::vector<int32_t> after_answer(const text::Tokenizer& tokenizer, std::string_view line) const;

  std::optional<text::ChatTemplate> chat_;
  std::string system_;
  Plain plain_;
};

/// The template that `name` means (load_chat_template); empty: the one of the model's folder, or
/// none where it has none. One that Adder does not know is left out with a warning.
std::optional<text::ChatTemplate> find_chat_template(const std::string& name,
                                                     const std::string& folder);

}  // namespace adder::cli
