// The layer of YS-71M at inference (model/word_ssm_spec.h).
#pragma once

#include "adder/infer/mixer.h"

namespace adder::infer {

std::unique_ptr<Mixer> make_word_ssm(const model::ModelConfig& config, int64_t layer,
                                     const model::Weights& weights);

}  // namespace adder::infer
