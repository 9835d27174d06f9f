// The `pre_tokenizer` of a tokenizer.json: how normalised text is cut into the words that merges
// never cross.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adder/io/json.h"
#include "adder/text/pattern.h"
#include "adder/text/tokenizer.h"
#include "adder/text/word_scanner.h"

namespace adder::text {

class PreTokenizer {
 public:
  PreTokenizer() = default;
  /// ByteLevel, Split, Digits, Metaspace and Sequence of them. Throws kUnsupported for others, and
  /// for a ByteLevel that is not the last.
  static PreTokenizer from_json(const io::JsonView& part);

  /// Calls visit(word) for each word of `text`, which follows `before`. Safe from several threads;
  /// the views die with the call.
  using Visit = std::function<void(std::string_view word)>;
  void split(std::string_view text, Before before, const Visit& visit) const;

  /// Words stand for their bytes in the byte-level alphabet.
  bool byte_level() const { return byte_level_; }
  /// Puts a space before text that begins with something else.
  bool adds_space() const;
  /// A single known pattern: words never reach from a letter over a space or newline.
  bool cuts_before_space() const { return stages_.size() == 1 && stages_[0].scanner != nullptr; }
  /// Nothing but Metaspace: each space becomes `mark`, and no cut lies elsewhere.
  bool only_marks_spaces(std::string_view mark) const;
  bool empty() const { return stages_.empty(); }

 private:
  enum class Behavior { kRemoved, kIsolated, kWithPrevious, kWithNext, kContiguous };
  // Each stage may put something before its text, replaces spaces, and cuts.
  struct Stage {
    std::string prefix;          // put before text that does not begin with it
    bool only_at_start = false;  // the prefix only at the start of the whole text
    std::string for_space;       // what each space becomes (Metaspace)
    WordScanner scanner = nullptr;
    std::shared_ptr<const Pattern> pattern;  // both null: no cutting
    Behavior behavior = Behavior::kIsolated;
    bool invert = false;
  };

  void add(const io::JsonView& part);
  void add_byte_level(const io::JsonView& part);
  void add_split(const io::JsonView& part);
  void add_metaspace(const io::JsonView& part);
  void run(size_t stage, std::string_view text, Before before, const Visit& visit) const;
  static void cut(const Stage& stage, std::string_view text, const Visit& visit);

  std::vector<Stage> stages_;
  bool byte_level_ = false;
};

}  // namespace adder::text
