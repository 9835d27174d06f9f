#include "adder/train/text_size.h"

#include <algorithm>
#include <string>

#include "adder/data/loader.h"

namespace adder::train {
namespace {

/// A code point has one byte that does not continue another; tokens may hold parts of code points.
int64_t characters_in(const std::string& bytes) {
  return std::ranges::count_if(
      bytes, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

}  // namespace

int64_t target_characters(const data::Batch& batch, const text::Tokenizer& tokenizer) {
  const data::Array& array = batch.at("tokens");  // (rows, length)
  const auto rows = static_cast<size_t>(array.shape.at(0));
  const auto length = static_cast<size_t>(array.shape.at(1));
  const auto tokens = array.as<int32_t>();
  const auto targets = batch.at("targets").as<int64_t>();
  const auto found = batch.find("seq_idx");
  int64_t characters = 0;
  for (size_t row = 0; row < rows; ++row) {
    size_t begin = row * length;  // of the document
    for (size_t t = begin; t < (row + 1) * length; ++t) {
      if (found != batch.end() && t > begin) {
        const auto seq_idx = found->second.as<int32_t>();
        if (seq_idx[t] != seq_idx[t - 1]) begin = t;
      }
      if (targets[t] == data::kIgnoreTarget) continue;
      const auto before = tokens.subspan(begin, t + 1 - begin);
      characters += characters_in(tokenizer.bytes_after(before, static_cast<int32_t>(targets[t])));
    }
  }
  return characters;
}

}  // namespace adder::train
