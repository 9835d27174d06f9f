// Mamba-2 (Dao & Gu, arXiv 2405.21060, section 7; mamba-core 2.2) as data.
#pragma once

#include "adder/model/mixer_spec.h"

namespace adder::model {

class Mamba2Spec final : public MixerSpec {
 public:
  int64_t d_state = 128;
  int64_t d_conv = 4;
  int64_t expand = 2;
  int64_t head_dim = 64;
  int64_t d_ssm = 0;     // channels that pass the SSM; 0: all of d_inner. The rest is a gated MLP
  int64_t n_groups = 1;  // of B and C
  std::string gated_norm = "after";  // "after" the gate (published), "before" it, or "none"
  std::string norm_group =
      "group";  // "group": statistics per group of B and C; "full": over all of d_ssm
  bool D_has_head_dim = false;
  bool bias = false;  // of in_proj and out_proj
  bool conv_bias = true;
  bool learnable_init_states = false;
  double conv_init = 0;            // > 0: conv weights uniform in +-conv_init; 0: +-1/sqrt(d_conv)
  double A_min = 1, A_max = 16;    // -A starts in here
  std::string A_init = "uniform";  // or "hippo_heads": head h at -(h+1), scaled to [A_min, A_max]
  double dt_min = 1e-3, dt_max = 0.1, dt_init_floor = 1e-4;  // dt starts log-uniform in here
  double dt_limit_min = 0, dt_limit_max = 1e300;             // clamp of Delta, after the softplus
  int64_t chunk_size = 64;
  double norm_eps = 1e-5;

  std::string_view kind() const override { return "mamba2"; }
  std::unique_ptr<MixerSpec> clone() const override { return std::make_unique<Mamba2Spec>(*this); }
  void describe(OptionVisitor& visitor) override;
  void check(const LayerPlace& place) const override;
  std::vector<TensorSpec> tensors(const LayerPlace& place) const override;
  std::vector<StateSpec> states(const LayerPlace& place) const override;
  double forward_flops(const LayerPlace& place, int64_t length) const override;

  /// Sizes that follow from the options. in_proj rows are
  /// [z_mlp | x_mlp | z (d_ssm) | x (d_ssm) | B (n_groups d_state) | C (n_groups d_state) | dt
  /// (heads)].
  struct Sizes {
    int64_t d_inner, d_ssm, d_mlp, heads, conv_dim, in_proj;
  };
  Sizes sizes(int64_t d_model) const;
};

}  // namespace adder::model
