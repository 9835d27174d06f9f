// Mamba-1 (S6; Gu & Dao, arXiv 2312.00752, section 3; mamba-core 2.1) as data.
#pragma once

#include "adder/model/mixer_spec.h"

namespace adder::model {

class Mamba1Spec final : public MixerSpec {
 public:
  int64_t d_state = 16;
  int64_t d_conv = 4;
  int64_t expand = 2;
  int64_t dt_rank = 0;  // width of the bottleneck that makes delta; 0: d_model / 16, rounded up
  bool bias = false;    // of in_proj and out_proj
  bool conv_bias = true;
  bool norm_BCdt = false;  // RMS norms without weights on dt, B and C (FalconMamba)
  double norm_BCdt_eps = 1e-6;
  std::string dt_init = "random";  // dt_proj starts uniform, or "constant"
  double dt_scale = 1;             // in +-dt_scale / sqrt(dt_rank)
  double dt_min = 1e-3, dt_max = 0.1, dt_init_floor = 1e-4;  // dt starts log-uniform in here

  std::string_view kind() const override { return "mamba1"; }
  std::unique_ptr<MixerSpec> clone() const override { return std::make_unique<Mamba1Spec>(*this); }
  void describe(OptionVisitor& visitor) override;
  void check(const LayerPlace& place) const override;
  std::vector<TensorSpec> tensors(const LayerPlace& place) const override;
  std::vector<StateSpec> states(const LayerPlace& place) const override;
  double forward_flops(const LayerPlace& place, int64_t length) const override;

  /// Sizes that follow from the options. in_proj rows are [x (d_inner) | z (d_inner)], x_proj rows
  /// [dt (dt_rank) | B (d_state) | C (d_state)].
  struct Sizes {
    int64_t d_inner, dt_rank, x_proj;
  };
  Sizes sizes(int64_t d_model) const;
};

}  // namespace adder::model
