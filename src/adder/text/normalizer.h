// The `normalizer` of a tokenizer.json: what happens to text before it is cut into words.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "adder/io/json.h"
#include "adder/text/pattern.h"
#include "adder/text/unicode.h"

namespace adder::text {

class Normalizer {
 public:
  Normalizer() = default;
  /// NFC, NFD, NFKC, NFKD, Prepend, Replace and Sequence of them. Throws kUnsupported for others.
  static Normalizer from_json(const io::JsonView& part);

  /// A view of `text` where nothing changes, else of `buffer`. `continues`: text stands before this
  /// one, so Prepend does nothing. Safe from several threads.
  std::string_view apply(std::string_view text, std::string& buffer, bool continues = false) const;

  bool empty() const { return steps_.empty(); }
  /// No step, or NFC alone: text before an ASCII character never changes what comes after it.
  bool keeps_ascii() const;
  /// Nothing but Prepend and a Replace of each space by `mark`.
  bool only_marks_spaces(std::string_view mark) const;

 private:
  struct Prepend {
    std::string text;
  };
  struct Replace {
    std::shared_ptr<const Pattern> pattern;
    std::string content;
  };
  using Step = std::variant<NormalForm, Prepend, Replace>;

  void add(const io::JsonView& part);

  std::vector<Step> steps_;
};

/// {"String": ...} or {"Regex": ...} of a file, as Replace and Split hold it.
std::shared_ptr<const Pattern> read_pattern(const io::JsonView& part);

[[noreturn]] void throw_unknown_part(const io::JsonView& part, const std::string& what);

}  // namespace adder::text
