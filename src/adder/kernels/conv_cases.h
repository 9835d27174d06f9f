// The arrays of one call of the causal convolution, for its tests.
#pragma once

#include "adder/kernels/causal_conv1d.h"
#include "adder/kernels/test_support.h"

namespace adder::kernels::testing {

/// What seq_idx looks like.
enum Documents { kNoIds, kTwoDocuments, kManyDocuments, kPadded, kAllPadding };
inline constexpr Documents kAllDocuments[] = {kNoIds, kTwoDocuments, kManyDocuments, kPadded,
                                              kAllPadding};

struct ConvCase {
  int64_t batch = 1, length, channels, width = 4, gap = 0;
  DType x = DType::f32, weight = DType::f32;
  Documents documents = kNoIds;
  bool initial = true, silu = true;
};

/// Inputs are random, outputs poisoned.
struct ConvArrays {
  ConvCase c;
  Array<3> x, initial, y, final_state, grad_y, grad_final_state, grad_x, grad_initial;
  Array<2> weight, seq_idx, grad_weight;
  Array<1> bias, grad_bias;

  explicit ConvArrays(const ConvCase& chosen) : c(chosen) {
    Rng rng(13);
    const auto tokens = [&] { return Array<3>(c.x, {c.batch, c.length, c.channels}, c.gap); };
    const auto states = [&] { return Array<3>(c.x, {c.batch, c.width - 1, c.channels}, c.gap); };
    x = tokens().fill(rng);
    grad_y = tokens().fill(rng);
    y = tokens();
    grad_x = tokens();
    final_state = states();
    grad_final_state = states().fill(rng);
    if (c.initial) {
      initial = states().fill(rng);
      grad_initial = states();
    }
    weight = Array<2>(c.weight, {c.channels, c.width}, c.gap).fill(rng, 0.5);
    grad_weight = Array<2>(c.weight, {c.channels, c.width}, c.gap);
    bias = Array<1>(c.weight, {c.channels}).fill(rng);
    grad_bias = Array<1>(c.weight, {c.channels});
    if (c.documents != kNoIds) fill_documents(rng);
  }

  void fill_documents(Rng& rng) {
    seq_idx = Array<2>(DType::i32, {c.batch, c.length}, c.gap);
    for (int64_t b = 0; b < c.batch; ++b) {
      int64_t id = 3;
      for (int64_t t = 0; t < c.length; ++t) {
        if (c.documents == kTwoDocuments && t == c.length / 2) id = 4;
        if (c.documents == kManyDocuments && rng.below(3) == 0) id = rng.below(3);
        if (c.documents == kPadded && rng.below(4) == 0)
          id = rng.below(4) - 2;  // two kinds of padding
        if (c.documents == kAllPadding) id = -1;
        set_at(seq_idx.view(), b * c.length + t, static_cast<double>(id));
      }
    }
  }
  Conv1dInputs inputs() const { return {x, weight, bias, initial, seq_idx, c.silu}; }
  Conv1dOutputs outputs() const { return {y, final_state}; }
  Conv1dGradients gradients() const {
    return {grad_y, grad_final_state, grad_x, grad_weight, grad_bias, grad_initial};
  }
};

/// Tokens [begin, begin + length) of a view.
inline View<3> slice(View<3> view, int64_t begin, int64_t length) {
  view.data = view.as<char>() + begin * view.stride[1] * size_of(view.dtype);
  view.size[1] = length;
  return view;
}

}  // namespace adder::kernels::testing
