// Regular expressions of tokenizer files (Oniguruma syntax, as the reference library reads them),
// run by PCRE2. A pattern from a file may be hostile: its size and the work of a search are
// bounded.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace adder::text {

class Pattern {
 public:
  /// Throws kUnsupported, with `where` (the field of the file), for a pattern that PCRE2 does not
  /// take, that is too large, or that uses what means another thing in the two syntaxes.
  Pattern(std::string_view pattern, const std::string& where);
  ~Pattern();
  Pattern(Pattern&&) noexcept;

  /// A pattern that matches `text`, which is not empty, as it stands.
  static Pattern literal(std::string text);

  bool is_literal(std::string_view text) const { return code_ == nullptr && literal_ == text; }

  /// Calls visit(begin, end) for each match in valid UTF-8, left to right. An empty match right
  /// after the match before it is none. Throws kUnsupported when the search takes absurdly long.
  /// Safe from several threads.
  void for_each_match(std::string_view text,
                      const std::function<void(size_t begin, size_t end)>& visit) const;

 private:
  struct Code;
  Pattern() = default;

  std::unique_ptr<Code> code_;
  std::string literal_;  // without code_
};

}  // namespace adder::text
