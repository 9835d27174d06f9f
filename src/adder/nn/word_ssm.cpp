#include "adder/nn/word_ssm.h"

#include <ATen/ATen.h>

#include "adder/nn/operators.h"
#include "adder/nn/word_ssm_forms.h"

namespace adder::nn {

WordSsmA::WordSsmA(const model::WordSsmSpec& spec, const model::LayerPlace& place,
                   const Parameters& parameters, const std::string& prefix)
    : decay_(at::empty({spec.states_of(place.d_model)}, at::kFloat)),
      q_proj_(parameters, prefix + "q_proj"),
      k_proj_(parameters, prefix + "k_proj"),
      v_proj_(parameters, prefix + "v_proj"),
      out_proj_(parameters, prefix + "out_proj") {
  const std::vector<float> decays = spec.decays(place.d_model);
  std::copy(decays.begin(), decays.end(), decay_.mutable_data_ptr<float>());
}

Tensor WordSsmA::forward(const Tensor& x, Context& context, State* carried) const {
  const Tensor q = q_proj_(x), k = k_proj_(x);  // (batch, length, d_state)
  const Tensor v = v_proj_(x);                  // (batch, length, d_model)
  const Tensor decay = x.scalar_type() == at::kDouble ? decay_.to(at::kDouble) : decay_;
  context.probe("q", q.unsqueeze(2));
  context.probe("k", k.unsqueeze(2));
  context.probe("v", v.unsqueeze(2));
  context.probe("decay", decay);

  OptionalTensor seq_idx, before;
  if (context.seq_idx.defined()) seq_idx = context.seq_idx;
  if (carried != nullptr && !carried->empty()) before = (*carried)[0];  // (batch, d_state, d_model)
  const auto [z, end] =
      word_ssm(q, k, v, decay, out_proj_.weight(), out_proj_.bias(), before, seq_idx);
  if (carried != nullptr) *carried = {end};
  return z;
}

std::unique_ptr<Mixer> make_word_ssm(const model::MixerSpec& spec_of_any,
                                     const model::LayerPlace& place, const Parameters& parameters,
                                     const std::string& prefix) {
  const auto& spec = static_cast<const model::WordSsmSpec&>(spec_of_any);
  if (spec.form == "A") return std::make_unique<WordSsmA>(spec, place, parameters, prefix);
  return make_word_ssm_form(spec, parameters, prefix);
}

}  // namespace adder::nn
