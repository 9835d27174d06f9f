// Makes word vocabularies out of text.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adder/text/word_vocabulary.h"

namespace adder::text {

class WordCounter {
 public:
  /// `specials`: more control tokens of the vocabulary; those that every one has may stand there
  /// too. Throws kConfig for options that do not fit.
  explicit WordCounter(WordOptions options, std::vector<std::string> specials = {});
  ~WordCounter();

  /// Counts the words and characters of `text`, a document or a piece of one that is cut between
  /// characters. What is counted does not depend on where the pieces are cut (words above 1 MiB
  /// aside). Throws kFormat for invalid UTF-8.
  void add(std::string_view text, bool last = true);

  /// The document ends where what was added ends, but goes on where it comes from: what may be the
  /// first half of a word is not counted.
  void cut();

  /// Every character, and the words that the options let in: by how often they are seen (then by
  /// their bytes), or as they appear. Throws kConfig where max_vocab has no room for the
  /// characters.
  WordVocabulary make() const;

  /// `old` and after its tokens, in a block of their own, what it lacks; `old` itself where that is
  /// nothing. min_count, max_vocab and order are this counter's; its fold_case must be old's.
  WordVocabulary extend(const WordVocabulary& old) const;

 private:
  struct Counts;
  WordOptions options_;
  std::vector<std::string> specials_;
  std::unique_ptr<Counts> counts_;
};

}  // namespace adder::text
