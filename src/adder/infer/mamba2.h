// Mamba-2 token by token (mamba-core 1.4, 1.5, 2.2), with carried convolution and SSM states.
#pragma once

#include "adder/infer/mixer.h"

namespace adder::infer {

/// State arrays: "conv" (d_conv - 1, conv_dim), the last inputs of the convolution; "ssm" (heads,
/// head_dim, d_state).
std::unique_ptr<Mixer> make_mamba2(const model::ModelConfig& config, int64_t layer,
                                   const model::Weights& weights);

}  // namespace adder::infer
