// The weights of a model whose word vocabulary has grown: rows for the new tokens.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "adder/model/directory.h"
#include "adder/text/word_tokenizer.h"

namespace adder::train {

class GrownVocabulary {
 public:
  /// `weights` of a model with the first `known` tokens of `tokenizer`; both must outlive this. A
  /// new word's row, in the embedding, the head and the head's bias, is the mean of the rows of the
  /// characters that spell it; a new character's that of all known characters.
  GrownVocabulary(const model::Weights& weights, const text::WordTokenizer& tokenizer,
                  int64_t known);

  /// With at least a row a token; the other tensors as they were. Stands as long as this.
  const model::Weights& weights() const { return weights_; }

 private:
  void grow(const char* name, const text::WordTokenizer& tokenizer, int64_t known);

  model::Weights weights_;
  std::vector<at::Tensor> grown_;  // fp32
};

}  // namespace adder::train
