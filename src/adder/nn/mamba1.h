// The Mamba-1 mixer (Gu & Dao, arXiv 2312.00752, section 3; mamba-core 2.1).
#pragma once

#include "adder/model/mamba1_spec.h"
#include "adder/nn/linear.h"
#include "adder/nn/mixer.h"

namespace adder::nn {

class Mamba1 final : public Mixer {
 public:
  Mamba1(const model::Mamba1Spec& spec, const model::LayerPlace& place,
         const Parameters& parameters, const std::string& prefix);
  Tensor forward(const Tensor& x, Context& context, State* carried) const override;

 private:
  /// An RMS norm without weight over the last dimension, or nothing.
  Tensor norm(const Tensor& x) const;

  model::Mamba1Spec spec_;
  model::Mamba1Spec::Sizes sizes_;
  Linear in_proj_, x_proj_, dt_proj_, out_proj_;
  Tensor conv_weight_, A_log_, D_;
  std::optional<Tensor> conv_bias_;
};

}  // namespace adder::nn
