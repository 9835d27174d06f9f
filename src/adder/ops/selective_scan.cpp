// selective_scan and selective_scan_update: checks, views, and the choice of kernel. The
// mathematics is in kernels/selective_scan.h.
#include "adder/kernels/selective_scan.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <array>
#include <tuple>
#include <vector>

#include "adder/ops/view.h"

namespace adder::ops {

namespace {

/// The arguments of selective_scan in the order of its schema, made fit for the kernels: last
/// dimensions contiguous, parameters and states dense.
struct SelectiveScanArguments {
  Tensor u, delta, A, B, C;
  OptionalTensor D, z, delta_bias;
  bool delta_softplus;
  OptionalTensor initial_state, seq_idx;

  void check(const ArgumentCheck& check) const;
  void make_dense();
  kernels::SelectiveScanInputs inputs() const;

  std::vector<int64_t> state_sizes() const { return {u.size(0), u.size(2), A.size(1)}; }
};

void SelectiveScanArguments::check(const ArgumentCheck& check) const {
  check.activation("u", u);
  check.shape("u", u, {-1, -1, -1});
  const int64_t batch = u.size(0), length = u.size(1), channels = u.size(2);
  check.activation("delta", delta);
  check.shape("delta", delta, u.sizes());
  check.shape("A", A, {channels, -1});
  check.shape("B", B, {batch, length, -1, A.size(1)});
  check.shape("C", C, B.sizes());
  check.that(length >= 1 && channels >= 1 && A.size(1) >= 1, "a dimension of u or A is 0");
  check.that(B.size(2) >= 1 && channels % B.size(2) == 0,
             "the number of channels (" + std::to_string(channels) +
                 ") is not a multiple of the groups of B (" + std::to_string(B.size(2)) + ")");
  const auto type = u.scalar_type();
  check.dtype("A", A, wide(type));
  check.dtype("B", B, type);
  check.dtype("C", C, type);
  if (D) check.shape("D", *D, {channels}), check.dtype("D", *D, wide(type));
  if (z) check.shape("z", *z, u.sizes()), check.dtype("z", *z, type);
  if (delta_bias) {
    check.shape("delta_bias", *delta_bias, {channels});
    check.dtype("delta_bias", *delta_bias, wide(type));
  }
  if (initial_state) {
    check.shape("initial_state", *initial_state, state_sizes());
    check.dtype("initial_state", *initial_state, wide(type));
  }
  if (seq_idx)
    check.shape("seq_idx", *seq_idx, {batch, length}), check.dtype("seq_idx", *seq_idx, at::kInt);
}

void SelectiveScanArguments::make_dense() {
  u = last_contiguous(u);
  delta = last_contiguous(delta);
  A = A.contiguous();
  B = last_contiguous(B);
  C = last_contiguous(C);
  D = contiguous(D);
  z = last_contiguous(z);
  delta_bias = contiguous(delta_bias);
  initial_state = contiguous(initial_state);
  seq_idx = contiguous(seq_idx);
}

kernels::SelectiveScanInputs SelectiveScanArguments::inputs() const {
  kernels::SelectiveScanInputs in;
  in.u = view<3>(u);
  in.delta = view<3>(delta);
  in.A = view<2>(A);
  in.B = view<4>(B);
  in.C = view<4>(C);
  in.D = view<1>(D);
  in.z = view<3>(z);
  in.delta_bias = view<1>(delta_bias);
  in.initial_state = view<3>(initial_state);
  in.seq_idx = view<2>(seq_idx);
  in.delta_softplus = delta_softplus;
  return in;
}

std::tuple<Tensor, Tensor> empty_outputs(const SelectiveScanArguments& args) {
  return {at::empty(args.u.sizes(), args.u.options()),
          at::empty(args.state_sizes(), args.u.options().dtype(wide(args.u.scalar_type())))};
}

std::tuple<Tensor, Tensor> selective_scan_meta(
    const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B, const Tensor& C,
    const OptionalTensor& D, const OptionalTensor& z, const OptionalTensor& delta_bias,
    bool delta_softplus, const OptionalTensor& initial_state, const OptionalTensor& seq_idx) {
  const SelectiveScanArguments args{
      u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, seq_idx};
  args.check(ArgumentCheck("selective_scan", args.u));
  return empty_outputs(args);
}

std::tuple<Tensor, Tensor> selective_scan_cpu(const Tensor& u, const Tensor& delta, const Tensor& A,
                                              const Tensor& B, const Tensor& C,
                                              const OptionalTensor& D, const OptionalTensor& z,
                                              const OptionalTensor& delta_bias, bool delta_softplus,
                                              const OptionalTensor& initial_state,
                                              const OptionalTensor& seq_idx) {
  SelectiveScanArguments args{
      u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, seq_idx};
  args.check(ArgumentCheck("selective_scan", args.u));
  args.make_dense();
  auto [y, last_state] = empty_outputs(args);
  kernels::selective_scan(args.inputs(), {view<3>(y), view<3>(last_state)}, torch_pool());
  return {y, last_state};
}

std::vector<Tensor> selective_scan_backward_cpu(
    const OptionalTensor& grad_y, const OptionalTensor& grad_last_state, const Tensor& u,
    const Tensor& delta, const Tensor& A, const Tensor& B, const Tensor& C, const OptionalTensor& D,
    const OptionalTensor& z, const OptionalTensor& delta_bias, bool delta_softplus,
    const OptionalTensor& initial_state, const OptionalTensor& seq_idx,
    std::array<bool, 10> needs) {
  SelectiveScanArguments args{
      u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, seq_idx};
  args.make_dense();
  const Tensor gy =
      grad_y ? last_contiguous(*grad_y) : at::zeros_like(args.u, at::MemoryFormat::Contiguous);
  const OptionalTensor gs = contiguous(grad_last_state);
  // Gradients in the order of the schema's tensors:
  // u delta A B C D z delta_bias initial_state seq_idx.
  const OptionalTensor inputs[] = {u, delta, A, B, C, D, z, delta_bias, initial_state};
  std::vector<Tensor> grads(10);
  for (size_t i = 0; i < 9; ++i) {
    if (needs[i]) grads[i] = at::empty(inputs[i]->sizes(), inputs[i]->options());
  }
  kernels::SelectiveScanGradients out;
  out.grad_y = view<3>(gy);
  out.grad_last_state = view<3>(gs);
  out.grad_u = view<3>(grads[0]);
  out.grad_delta = view<3>(grads[1]);
  out.grad_A = view<2>(grads[2]);
  out.grad_B = view<4>(grads[3]);
  out.grad_C = view<4>(grads[4]);
  out.grad_D = view<1>(grads[5]);
  out.grad_z = view<3>(grads[6]);
  out.grad_delta_bias = view<1>(grads[7]);
  out.grad_initial_state = view<3>(grads[8]);
  kernels::selective_scan_backward(args.inputs(), out, torch_pool());
  return grads;
}

Tensor selective_scan_update_meta(Tensor& /*state*/, const Tensor& u, const Tensor&, const Tensor&,
                                  const Tensor&, const Tensor&, const OptionalTensor&,
                                  const OptionalTensor&, const OptionalTensor&, bool,
                                  const OptionalTensor&) {
  return at::empty(u.sizes(), u.options());
}

Tensor selective_scan_update_cpu(Tensor& state, const Tensor& u, const Tensor& delta,
                                 const Tensor& A, const Tensor& B, const Tensor& C,
                                 const OptionalTensor& D, const OptionalTensor& z,
                                 const OptionalTensor& delta_bias, bool delta_softplus,
                                 const OptionalTensor& state_indices) {
  const ArgumentCheck check("selective_scan_update", u);
  check.that(state.is_contiguous(), "state must be contiguous");
  check.shape("u", u, {-1, -1});
  check.shape("delta", delta, u.sizes());
  check.shape("B", B, {u.size(0), -1, -1});
  check.shape("C", C, B.sizes());
  if (z) check.shape("z", *z, u.sizes());
  // One token is a sequence of length 1: its checks are those of selective_scan.
  const auto at_time = [](const Tensor& t) { return t.unsqueeze(1); };
  SelectiveScanArguments args{at_time(u),
                              at_time(delta),
                              A,
                              at_time(B),
                              at_time(C),
                              D,
                              z ? OptionalTensor(at_time(*z)) : std::nullopt,
                              delta_bias,
                              delta_softplus,
                              std::nullopt,
                              std::nullopt};
  args.check(check);
  check.dtype("state", state, wide(u.scalar_type()));
  check.shape("state", state, {-1, u.size(1), A.size(1)});
  check.that(state_indices.has_value() || state.size(0) >= u.size(0),
             "state has fewer slots than rows");
  args.make_dense();
  if (state_indices) check_slots(check, *state_indices, u.size(0), state.size(0));
  state.unsafeGetTensorImpl()->bump_version();
  const OptionalTensor indices = contiguous(state_indices);
  const Tensor y = at::empty(u.sizes(), u.options());
  const auto row = [](const Tensor& t) { return t.squeeze(1); };
  kernels::SelectiveScanUpdate update;
  update.state = view<3>(state);
  update.u = view<2>(row(args.u));
  update.delta = view<2>(row(args.delta));
  update.A = view<2>(args.A);
  update.B = view<3>(row(args.B));
  update.C = view<3>(row(args.C));
  update.D = view<1>(args.D);
  if (args.z) update.z = view<2>(row(*args.z));
  update.delta_bias = view<1>(args.delta_bias);
  update.state_indices = view<1>(indices);
  update.y = view<2>(y);
  update.delta_softplus = delta_softplus;
  kernels::selective_scan_update(update, torch_pool());
  return y;
}

}  // namespace

TORCH_LIBRARY_IMPL(adder, CPU, library) {
  library.impl("selective_scan", &selective_scan_cpu);
  library.impl("selective_scan_backward", &selective_scan_backward_cpu);
  library.impl("selective_scan_update", &selective_scan_update_cpu);
}

TORCH_LIBRARY_IMPL(adder, Meta, library) {
  library.impl("selective_scan", &selective_scan_meta);
  library.impl("selective_scan_update", &selective_scan_update_meta);
}

}  // namespace adder::ops
