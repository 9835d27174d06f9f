// Added tokens: texts that become one token wherever they stand, before any other rule.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adder/io/json.h"

namespace adder::text {

/// One entry of `added_tokens`.
struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool special = false;      // control: never given for plain text
  bool normalized = false;   // looked for in normalised text
  bool single_word = false;  // not beside a letter, digit or mark
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and after it
  bool ends_text = false;    // kEosRole: at most one
};

/// Throws kFormat for malformed entries and for texts or ids that stand twice.
std::vector<AddedToken> read_added_tokens(const io::JsonView& root);

/// Finds tokens in text: leftmost first, of those the longest.
class AddedTokenFinder {
 public:
  /// Looks for `tokens[i].content`; the tokens must outlive this. Empty texts are never found.
  AddedTokenFinder() = default;
  explicit AddedTokenFinder(std::vector<const AddedToken*> tokens);

  /// Calls visit(piece, id) for the pieces of `text` in order: id is empty for plain text. Tokens
  /// of which `is_plain` says so are plain text.
  using Visit = std::function<void(std::string_view piece, std::optional<int32_t> id)>;
  using IsPlain = std::function<bool(const AddedToken& token)>;
  void split(std::string_view text, const IsPlain& is_plain, const Visit& visit) const;

  bool empty() const { return tokens_.empty(); }

  static constexpr size_t kMaxLength = 1024;  // bytes of a text

 private:
  struct Node {
    int32_t token = -1;
    int32_t first_child = -1, next_sibling = -1;
    char byte = 0;
  };
  int32_t child(int32_t node, char byte) const;
  /// The longest token that begins at `at`; null when none does.
  const AddedToken* match(std::string_view text, size_t at) const;

  std::vector<const AddedToken*> tokens_;
  std::vector<Node> nodes_;   // a trie; nodes_[0] is its root
  std::vector<bool> begins_;  // by two bytes: some token may begin so
};

}  // namespace adder::text
