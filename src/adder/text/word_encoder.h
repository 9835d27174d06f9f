// Text to ids of a word vocabulary, and back: the two are exact inverses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "adder/text/word_case.h"
#include "adder/text/word_spacing.h"
#include "adder/text/word_vocabulary.h"

namespace adder::text {

class WordEncoder {
 public:
  /// Appends to `ids`. `left`: what stands before the text. All must outlive the encoder.
  WordEncoder(const WordVocabulary& vocabulary, Spacing left, std::vector<int32_t>& ids);

  /// A whole text, as word_text() makes it.
  void encode(std::string_view text);

 private:
  void word(std::string_view word);
  /// Puts the token of the word, number or pair of line ends, if there is one.
  bool known(std::string_view word);
  void spell(std::string_view word);
  void character(char32_t value);
  /// Puts a token, with what says how it is spaced before it.
  void put(int32_t id, WordCase word_case = WordCase::kLower);
  void put_spaces();

  const WordVocabulary& vocabulary_;
  std::vector<int32_t>& ids_;
  SpacingState state_;
  bool explicit_, fold_case_;
  size_t spaces_ = 0;  // read since the last token
  std::string lower_;
};

class WordDecoder {
 public:
  explicit WordDecoder(const WordVocabulary& vocabulary) : vocabulary_(vocabulary) {}

  /// Appends what the token adds to a text.
  void add(int32_t id, std::string& out);

 private:
  const WordVocabulary& vocabulary_;
  SpacingState state_;
  bool marked_ = false;  // a marker waits for its token
  WordCase word_case_ = WordCase::kLower;
};

}  // namespace adder::text
