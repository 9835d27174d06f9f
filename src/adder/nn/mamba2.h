// The Mamba-2 mixer (Dao & Gu, arXiv 2405.21060, section 7; mamba-core 2.2).
#pragma once

#include "adder/model/mamba2_spec.h"
#include "adder/nn/linear.h"
#include "adder/nn/mixer.h"

namespace adder::nn {

class Mamba2 final : public Mixer {
 public:
  Mamba2(const model::Mamba2Spec& spec, const model::LayerPlace& place,
         const Parameters& parameters, const std::string& prefix);
  Tensor forward(const Tensor& x, Context& context, State* carried) const override;

 private:
  /// Throws kUnsupported when a row holds more than one document.
  static void refuse_packing(const Context& context);
  /// The gated norm of y by z, or the gate alone, then out_proj; `parts` of in_proj's output.
  Tensor project_out(const Tensor& y, const std::vector<Tensor>& parts) const;

  model::Mamba2Spec spec_;
  model::Mamba2Spec::Sizes sizes_;
  Linear in_proj_, out_proj_;
  Tensor conv_weight_, A_log_, D_, dt_bias_;
  std::optional<Tensor> conv_bias_, norm_weight_, init_states_;
};

}  // namespace adder::nn
