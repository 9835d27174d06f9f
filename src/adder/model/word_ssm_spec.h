// The layer of YS-71M as data: five recurrences with a matrix state whose parameters number d^3 +
// 3 d^2 + 4 d where d_model = d_state = d_out = d. Which of them the project used is not known: its
// README gives totals only, and each of the five fits them (ys-71m, section 2).
//
// E: d_model, S: d_state, O: d_out. x_t (E): the input, h or H: the state, zero at first; s: the
// logistic function; LN: LayerNorm with weight and bias; (n, i): an index of S and one of E.
//
//   A  H_t[n,i] = a[n] H_t-1[n,i] + k_t[n] v_t[i]              q, k, v = {q,k,v}_proj(x)
//      z_t = out_proj vec(q_t[n] H_t[n,i])
//      Linear attention with a decay a for each row of the state. a has no tensor: see `decay`.
//   B  h_t^i = A_i h_t-1^i + B_i x_t[i] for each channel i     A_i (S, S), B_i and C_i (S)
//      z_t = out_proj LN(C_i . h_t^i + D[i] x_t[i])
//      S4 with a dense transition: a bilinear step of a HiPPO system, frozen. The channels' dt go
//      from dt_min to dt_max with equal ratios, so that 1/dt covers the lengths of dependencies. B
//      starts as the input of that step, C normal: the states are coefficients of an orthonormal
//      basis.
//   C  H_t = A H_t-1 + b_t x_t^T                               A (S, S), b, c = {B,C}_proj(x)
//      z_t = out_proj vec(c_t[n] H_t[n,i]) + D x_t             needs O = E
//      A's state with one frozen HiPPO step for all channels, of dt = sqrt(dt_min dt_max).
//   D  h_t = A_t h_t-1 + in_proj(x_t)                          A_t (S, S) = A_proj(x_t), each row
//      z_t = out_proj LN(h_t)                                  divided by max(1, sum |row|)
//      A transition chosen by the token. The division keeps every product of transitions bounded.
//      A_proj's bias starts as the step of HiPPO's real system with dt = 1/memory: random matrices
//      alone forget a token at once.
//   E  h_t = s(g_t) h_t-1 + (1 - s(g_t)) v_t                   v, g, q = {v,g,q}_proj(x)
//      z_t[o] = bias[o] + sum_ij weight[o,i,j] h_t[i] q_t[j]   "bilinear.*"
//      A gated running mean, read by a bilinear map. The gates start with the memories of Tallec
//      and Ollivier (arXiv 1804.11188): g_proj's bias is log(m - 1), m uniform in [2, memory].
//
// The read-outs of A, C and E start uniform in +-1/sqrt(S E) = +-1/d: nothing norms their d^2
// inputs.
#pragma once

#include "adder/model/hippo.h"
#include "adder/model/mixer_spec.h"

namespace adder::model {

class WordSsmSpec final : public MixerSpec {
 public:
  std::string form = "A";
  int64_t d_state = 0;                 // 0: d_model
  int64_t d_out_option = 0;            // 0: d_model
  std::string decay = "log_uniform";   // of A
  double memory = 256;                 // tokens: of A, D, E
  std::string hippo = "legs";          // of B, C
  double dt_min = 1e-3, dt_max = 0.1;  // of B, C
  double norm_eps = 1e-5;              // of B, D

  std::string_view kind() const override { return "word_ssm"; }
  std::unique_ptr<MixerSpec> clone() const override { return std::make_unique<WordSsmSpec>(*this); }
  void describe(OptionVisitor& visitor) override;
  void check(const LayerPlace& place) const override;
  std::vector<TensorSpec> tensors(const LayerPlace& place) const override;
  std::vector<StateSpec> states(const LayerPlace& place) const override;
  int64_t d_out(const LayerPlace& place) const override;
  double forward_flops(const LayerPlace& place, int64_t length) const override;

  int64_t states_of(int64_t d_model) const { return d_state == 0 ? d_model : d_state; }

  /// a of form A, (d_state), in [0, 1). A row remembers 1/(1 - a) tokens. "log_uniform": those
  /// memories go from 1 to `memory` with equal ratios. "real": a[n] = exp(-(n+1) / memory), the
  /// spectrum -(n+1) of HiPPO's legs in steps of 1/memory.
  std::vector<float> decays(int64_t d_model) const;
};

}  // namespace adder::model
