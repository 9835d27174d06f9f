#include "adder/train/grown_vocabulary.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "adder/model/tensor_names.h"
#include "adder/nn/parameters.h"

namespace adder::train {
namespace {

/// The mean of these rows of `table` (tokens, ...).
at::Tensor mean_row(const at::Tensor& table, const std::vector<int32_t>& rows) {
  return table.index_select(0, at::tensor(rows, at::kInt)).mean(0);
}

}  // namespace

GrownVocabulary::GrownVocabulary(const model::Weights& weights,
                                 const text::WordTokenizer& tokenizer, int64_t known)
    : weights_(weights) {
  for (const char* name : {model::kEmbedding, model::kHead, model::kHeadBias}) {
    if (weights_.contains(name)) grow(name, tokenizer, known);
  }
}

void GrownVocabulary::grow(const char* name, const text::WordTokenizer& tokenizer, int64_t known) {
  model::TensorView& view = weights_.at(name);
  const at::Tensor old = nn::borrow(view);  // (rows, d_model), or (rows) for the bias
  std::vector<int64_t> shape = view.shape;
  shape[0] = std::max(shape[0], tokenizer.vocab_size());
  at::Tensor table = at::zeros(shape, at::kFloat);
  table.slice(0, 0, view.shape[0]).copy_(old);

  std::vector<int32_t> characters;
  for (int32_t id = 0; id < known; ++id) {
    if (tokenizer.is_character(id)) characters.push_back(id);
  }
  const at::Tensor average = mean_row(table, characters);
  for (const bool words : {false, true}) {  // words may be spelled with new characters
    for (auto id = static_cast<int32_t>(known); id < tokenizer.vocab_size(); ++id) {
      if (tokenizer.is_character(id) == words) continue;
      table[id].copy_(words ? mean_row(table, tokenizer.spelling(id)) : average);
    }
  }
  view = {table.data_ptr(), DType::f32, std::move(shape)};
  grown_.push_back(std::move(table));
}

}  // namespace adder::train
