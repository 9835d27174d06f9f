// Forms B to E of YS-71M's layer in plain loops: for parity and counting.
#pragma once

#include "adder/infer/mixer.h"

namespace adder::infer {

/// The form that the config names, not A.
std::unique_ptr<Mixer> make_word_ssm_form(const model::ModelConfig& config, int64_t layer,
                                          const model::Weights& weights);

}  // namespace adder::infer
