// What a line of a conversation becomes before the model reads it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adder/infer/generate.h"
#include "adder/text/chat_template.h"

namespace adder::cli {

class ChatFormat {
 public:
  /// Without a template each line is read with `after` behind it. `system`: a message before the
  /// first line; needs a template (kUsage).
  ChatFormat(std::optional<text::ChatTemplate> chat, std::string system, std::string after);

  /// The tokens that follow `before` (every token read or drawn so far): the end of the last
  /// answer, as far as it was not drawn, the line, and the beginning of an answer.
  std::vector<int32_t> turn(const text::Tokenizer& tokenizer, std::string_view line,
                            std::span<const int32_t> before) const;

  /// Makes an answer end where the template ends it: a control token goes to `eos`, a text to
  /// `options.stop`.
  void end_answers(const text::Tokenizer& tokenizer, std::vector<int32_t>& eos,
                   infer::GenerateOptions& options) const;

 private:
  /// What follows an answer: its end, `line`, and the beginning of the next one.
  std::vector<int32_t> after_answer(const text::Tokenizer& tokenizer, std::string_view line) const;

  std::optional<text::ChatTemplate> chat_;
  std::string system_, after_;
};

/// The template that `name` means (load_chat_template); empty: the one of the model's folder, or
/// none where it has none. One that Adder does not know is left out with a warning.
std::optional<text::ChatTemplate> find_chat_template(const std::string& name,
                                                     const std::string& folder);

}  // namespace adder::cli
