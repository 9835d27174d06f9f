// How a conversation becomes text: what stands before and after the words of each role. Templates
// are data, not programs; foreign Jinja templates are known by their text or refused.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adder/text/tokenizer.h"

namespace adder::text {

struct ChatMessage {
  std::string role;  // "system", "user" or "assistant"
  std::string content;
};

struct ChatPiece {
  std::string text;
  bool control = false;  // of the template: control tokens in it count. Else of people, with the
                         // space before their words: they do not
  bool answer = false;   // the assistant's words and what ends them: what training learns
};

struct EncodedChat {
  std::vector<int32_t> ids;
  std::vector<uint8_t> answer;  // of each id: 1 when it is to be learnt
};

/// What stands around the words of a role.
struct ChatRole {
  std::string role, prefix, suffix;
  std::optional<std::string>
      prefix_after_system;  // instead of prefix, right after a system message
};

class ChatTemplate {
 public:
  /// Built-in: "plain", "chatml", "llama2", "llama3". Null for other names.
  static const ChatTemplate* find(std::string_view name);
  static std::vector<std::string> names();

  /// Reads to_json(), or a Hugging Face file {"chat_template": JINJA}. Throws kFormat, and
  /// kUnsupported for Jinja that is none of the known templates.
  static ChatTemplate from_json(std::string_view json, const std::string& name);
  /// The template with this Jinja text. Throws kUnsupported when it is not a known one.
  static ChatTemplate from_jinja(std::string_view jinja, const std::string& name);

  ChatTemplate(std::string name, std::string begin, std::vector<ChatRole> roles,
               std::string generation_prompt);

  /// The conversation in pieces; with `add_generation_prompt` up to where the next answer begins.
  /// Throws kUsage for a role that the template does not have.
  std::vector<ChatPiece> pieces(std::span<const ChatMessage> messages,
                                bool add_generation_prompt = false) const;
  /// All pieces as one text.
  std::string render(std::span<const ChatMessage> messages,
                     bool add_generation_prompt = false) const;
  /// Ids of the pieces, each encoded for itself. The tokenizer's bos goes first unless the template
  /// begins with it. In words of people no token that the template writes is found.
  EncodedChat encode(std::span<const ChatPiece> pieces, const Tokenizer& tokenizer) const;
  /// The same of a conversation; without a generation prompt the end of a text follows,
  /// unless the last suffix holds it.
  EncodedChat encode(std::span<const ChatMessage> messages, const Tokenizer& tokenizer,
                     bool add_generation_prompt = false) const;

  /// Control tokens that the template writes ("<|im_end|>") and the tokenizer lacks: they become
  /// plain text. Worth a warning.
  std::vector<std::string> missing_controls(const Tokenizer& tokenizer) const;

  const std::string& name() const { return name_; }
  /// What ends an answer: generation stops there.
  std::string answer_end() const;
  /// The content of chat_template.json.
  std::string to_json() const;
  /// The same template in Jinja, as `chat_template` of a tokenizer_config.json.
  std::string to_jinja() const;

 private:
  const ChatRole& role_of(const std::string& role) const;
  /// Every text that the template writes.
  std::vector<std::string> frame() const;

  std::string name_, begin_;
  std::vector<ChatRole> roles_;
  std::string generation_prompt_;
};

/// A built-in name, a file, or a model folder (chat_template.json, chat_template.jinja, or the
/// chat_template of tokenizer_config.json). Throws kNotFound, kFormat, kUnsupported.
ChatTemplate load_chat_template(const std::string& name_or_path);

}  // namespace adder::text
