// The characters that a tokenizer left out of what was encoded, in words.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "adder/text/tokenizer.h"

namespace adder::data {

class LeftOut {
 public:
  void add(const std::vector<text::Dropped>& dropped);

  /// By character.
  std::vector<text::Dropped> list() const;
  /// Of all of them together.
  int64_t bytes() const;

  /// "the tokenizer does not have 2 characters of the text, left out 12 times: U+2603 '☃'
  /// (11), ...": those left out most often first. Empty where nothing was.
  std::string note() const;

 private:
  std::map<std::string, int64_t> counts_;  // by character
};

}  // namespace adder::data
