// The operators by name and schema, in the namespace `adder`. Sequence-major, channels contiguous;
// B batch, L length, D channels, H heads, P head_dim, G groups, N state, W conv width. Every
// floating input and output is differentiable; outputs never alias inputs.
#include <ATen/core/Tensor.h>
#include <torch/library.h>

#include "adder/ops/autograd.h"

namespace adder::ops {

namespace {

/// x + residual is an output of rms_norm, and lives anyway where it is the next norm's residual.
StandIn sum_for_norm() {
  return {"new_residual", {"x", "residual"}};
}

}  // namespace

TORCH_LIBRARY(adder, library) {
  // x(B,L,D), weight(D,W), bias(D), initial_state(B,W-1,D), seq_idx(B,L) i32
  define_differentiable(
      library,
      "causal_conv1d(Tensor x, Tensor weight, Tensor? bias, Tensor? initial_state, "
      "Tensor? seq_idx, str activation) -> (Tensor y, Tensor final_state)");
  // x(B,L,H,P), dt(B,L,H), A(H), B(B,L,G,N), C(B,L,G,N), D(H | H,P), z(B,L,H,P), dt_bias(H),
  // initial_state(B,H,P,N), seq_idx(B,L) i32
  define_differentiable(
      library,
      "ssd(Tensor x, Tensor dt, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, "
      "Tensor? dt_bias, bool dt_softplus, float dt_min, float dt_max, int chunk_size, "
      "Tensor? initial_state, Tensor? seq_idx) -> (Tensor y, Tensor final_state)");
  // u(B,L,D), delta(B,L,D), A(D,N), B(B,L,G,N), C(B,L,G,N), D(D), z(B,L,D), delta_bias(D),
  // initial_state(B,D,N), seq_idx(B,L) i32
  define_differentiable(
      library,
      "selective_scan(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor? D, Tensor? z, "
      "Tensor? delta_bias, bool delta_softplus, Tensor? initial_state, Tensor? seq_idx) -> "
      "(Tensor y, Tensor last_state)");
  // q(B,L,N), k(B,L,N), v(B,L,E), decay(N), weight(O,N*E), bias(O), initial_state(B,N,E),
  // seq_idx(B,L) i32
  define_differentiable(
      library,
      "word_ssm(Tensor q, Tensor k, Tensor v, Tensor decay, Tensor weight, Tensor? bias, "
      "Tensor? initial_state, Tensor? seq_idx) -> (Tensor z, Tensor final_state)");
  // x(..., D), weight(D), residual(..., D)
  define_differentiable(library,
                        "rms_norm(Tensor x, Tensor weight, float eps, Tensor? residual, "
                        "bool residual_in_fp32) -> (Tensor y, Tensor new_residual)",
                        sum_for_norm());
  // x(..., D), weight(D), z(..., D)
  define_differentiable(
      library,
      "gated_rms_norm(Tensor x, Tensor weight, Tensor? z, float eps, int group_size, "
      "bool norm_before_gate) -> (Tensor y)");
  // weight(V,d), tokens(...) whole numbers -> y(...,d) of `dtype`
  define_differentiable(library,
                        "embedding(Tensor weight, Tensor tokens, ScalarType dtype) -> (Tensor y)");
  // up(..., D), gate(..., D)
  define_differentiable(library, "swiglu(Tensor up, Tensor gate) -> (Tensor y)");
  // x(B,L,H,P), position(B | 1,L) i64
  define_differentiable(library,
                        "rotary(Tensor x, Tensor position, int dim, float base, bool interleaved) "
                        "-> (Tensor y)");
  // x(..., in), weight(out, in), bias(out)
  define_differentiable(library, "linear(Tensor x, Tensor weight, Tensor? bias) -> (Tensor y)");
  // gated_rms_norm, then linear by matrix(out, D) and bias(out); keeps nothing in between
  define_differentiable(library,
                        "gated_rms_norm_linear(Tensor x, Tensor weight, Tensor? z, float eps, "
                        "int group_size, bool norm_before_gate, Tensor matrix, Tensor? bias) -> "
                        "(Tensor y)");
  // x(T,d), weight(V,d), bias(V), target(T) i64; reduction "none" | "sum"
  define_differentiable(
      library,
      "linear_cross_entropy(Tensor x, Tensor weight, Tensor? bias, Tensor target, "
      "int ignore_index, float z_loss, float label_smoothing, float softcap, "
      "str reduction) -> (Tensor nll, Tensor n_valid)");
  // One token; state(slots,W-1,D), x(B,D), state_indices(B) i32: < 0 skips the row
  library.def(
      "causal_conv1d_update(Tensor(a!) state, Tensor x, Tensor weight, Tensor? bias, "
      "Tensor? state_indices, str activation) -> Tensor");
  // One token; state(slots,H,P,N), x(B,H,P), dt(B,H), B(B,G,N), C(B,G,N)
  library.def(
      "ssd_update(Tensor(a!) state, Tensor x, Tensor dt, Tensor A, Tensor B, Tensor C, Tensor? D, "
      "Tensor? z, Tensor? dt_bias, bool dt_softplus, float dt_min, float dt_max, "
      "Tensor? state_indices) -> Tensor");
  // One token; state(slots,D,N), u(B,D), delta(B,D), A(D,N), B(B,G,N), C(B,G,N)
  library.def(
      "selective_scan_update(Tensor(a!) state, Tensor u, Tensor delta, Tensor A, Tensor B, "
      "Tensor C, Tensor? D, Tensor? z, Tensor? delta_bias, bool delta_softplus, "
      "Tensor? state_indices) -> Tensor");
}

TORCH_LIBRARY_IMPL(adder, Autograd, library) {
  for (const char* name :
       {"causal_conv1d", "ssd", "selective_scan", "word_ssm", "gated_rms_norm", "embedding",
        "swiglu", "rotary", "linear", "gated_rms_norm_linear", "linear_cross_entropy"}) {
    register_autograd(library, name);
  }
  register_autograd(library, "rms_norm", sum_for_norm());
}

}  // namespace adder::ops
