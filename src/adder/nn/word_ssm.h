// The layer of YS-71M (model/word_ssm_spec.h), form A out of the operator word_ssm. The other forms
// are plain tensors in word_ssm_forms.h.
#pragma once

#include "adder/model/word_ssm_spec.h"
#include "adder/nn/linear.h"
#include "adder/nn/mixer.h"

namespace adder::nn {

class WordSsmA final : public Mixer {
 public:
  WordSsmA(const model::WordSsmSpec& spec, const model::LayerPlace& place,
           const Parameters& parameters, const std::string& prefix);
  Tensor forward(const Tensor& x, Context& context, State* carried) const override;

 private:
  Tensor decay_;  // (d_state)
  Linear q_proj_, k_proj_, v_proj_, out_proj_;
};

/// The form that `spec` names.
std::unique_ptr<Mixer> make_word_ssm(const model::MixerSpec& spec, const model::LayerPlace& place,
                                     const Parameters& parameters, const std::string& prefix);

}  // namespace adder::nn
