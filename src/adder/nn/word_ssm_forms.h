// Forms B to E of YS-71M's layer (model/word_ssm_spec.h) in plain tensors, token after token: for
// parity and counting. They keep every state for the backward pass.
#pragma once

#include "adder/model/word_ssm_spec.h"
#include "adder/nn/mixer.h"

namespace adder::nn {

/// The form that `spec` names, not A.
std::unique_ptr<Mixer> make_word_ssm_form(const model::WordSsmSpec& spec,
                                          const Parameters& parameters, const std::string& prefix);

}  // namespace adder::nn
