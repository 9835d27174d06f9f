// Mamba-1 token by token (mamba-core 1.3, 1.4, 2.1), with carried convolution and SSM states.
#pragma once

#include "adder/infer/mixer.h"

namespace adder::infer {

/// State arrays: "conv" (d_conv - 1, d_inner), the last inputs of the convolution; "ssm" (d_inner,
/// d_state).
std::unique_ptr<Mixer> make_mamba1(const model::ModelConfig& config, int64_t layer,
                                   const model::Weights& weights);

}  // namespace adder::infer
