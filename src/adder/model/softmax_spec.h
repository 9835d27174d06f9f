// Causal softmax attention (Vaswani et al., arXiv 1706.03762) with rotary positions (Su et al.,
// arXiv 2104.09864), grouped queries (Ainslie et al., arXiv 2305.13245) and a sliding window, in
// the weight layout of the Mamba authors' hybrids (mamba-core 2.5, "MHA"), as data.
#pragma once

#include "adder/model/mixer_spec.h"

namespace adder::model {

class SoftmaxSpec final : public MixerSpec {
 public:
  int64_t head_dim = 64;
  int64_t n_heads = 0;      // query heads; 0: d_model / head_dim
  int64_t n_kv_heads = 0;   // key and value heads, each shared by n_heads / n_kv_heads; 0: n_heads
  int64_t rotary_dim = -1;  // dimensions of a head that rotate with the position; -1: all, 0: none
  double rotary_base = 10000;
  bool rotary_interleaved = false;  // pairs (2i, 2i + 1) instead of (i, i + rotary_dim / 2)
  int64_t window = 0;               // a token sees itself and window - 1 before it; 0: all
  double scale = 0;                 // of q.k; 0: 1 / sqrt(head_dim)
  bool qkv_bias = false;            // of in_proj
  bool out_bias = false;
  int64_t d_conv = 0;  // taps of a causal convolution (no activation, with bias) over q, k, v
  int64_t d_mlp = 0;   // width of a gated MLP that runs beside the attention

  std::string_view kind() const override { return "softmax"; }
  std::unique_ptr<MixerSpec> clone() const override { return std::make_unique<SoftmaxSpec>(*this); }
  void describe(OptionVisitor& visitor) override;
  void check(const LayerPlace& place) const override;
  std::vector<TensorSpec> tensors(const LayerPlace& place) const override;
  /// "k", "v": (tokens, kv_heads * head_dim), k after the rotation; with d_conv, "conv".
  std::vector<StateSpec> states(const LayerPlace& place) const override;
  double forward_flops(const LayerPlace& place, int64_t length) const override;

  /// Sizes that follow from the options. in_proj rows are [q (heads head_dim) | k (kv_heads
  /// head_dim) | v (likewise) | mlp_up (d_mlp) | mlp_gate (d_mlp)]; out_proj reads [attention
  /// (heads head_dim) | mlp (d_mlp)].
  struct Sizes {
    int64_t heads, kv_heads, q, kv, qkv, in_proj, d_inner, rotary_dim;
    double scale;
  };
  Sizes sizes(int64_t d_model) const;
};

}  // namespace adder::model
