// Softmax attention token by token (model/softmax_spec.h; mamba-core 2.5, 4.1), with the keys and
// values of the tokens before.
#pragma once

#include "adder/infer/mixer.h"

namespace adder::infer {

/// State arrays: "k", "v" (rows, kv_heads * head_dim), which grow with the text up to the window, k
/// after the rotation; with a convolution of two taps or more "conv" (d_conv - 1, qkv), its last
/// inputs.
std::unique_ptr<Mixer> make_softmax(const model::ModelConfig& config, int64_t layer,
                                    const model::Weights& weights);

}  // namespace adder::infer
