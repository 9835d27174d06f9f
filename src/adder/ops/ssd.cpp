// ssd and ssd_update: checks, views, and the choice of kernel. The mathematics is in kernels/ssd.h.
#include "adder/kernels/ssd.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <tuple>
#include <vector>

#include "adder/ops/device.h"
#include "adder/ops/slices.h"

namespace adder::ops {

namespace {

/// The arguments of ssd in the order of its schema, made fit for the kernels: last dimensions
/// contiguous, small tensors and states dense.
struct SsdArguments {
  Tensor x, dt, A, B, C;
  OptionalTensor D, z, dt_bias;
  bool dt_softplus;
  double dt_min, dt_max;
  int64_t chunk_size;
  OptionalTensor initial_state, seq_idx;

  void check() const;
  void make_dense();
  kernels::SsdInputs inputs() const;

  std::vector<int64_t> state_sizes() const { return {x.size(0), x.size(2), x.size(3), B.size(3)}; }
};

void SsdArguments::check() const {
  const ArgumentCheck check("ssd", x);
  check.activation("x", x);
  check.shape("x", x, {-1, -1, -1, -1});
  const int64_t batch = x.size(0), length = x.size(1), heads = x.size(2), head_dim = x.size(3);
  check.shape("B", B, {batch, length, -1, -1});
  check.shape("C", C, B.sizes());
  check.shape("dt", dt, {batch, length, heads});
  check.shape("A", A, {heads});
  check.that(length >= 1 && heads >= 1 && head_dim >= 1 && B.size(3) >= 1,
             "a dimension of x or B is 0");
  check.that(B.size(2) >= 1 && heads % B.size(2) == 0,
             "the number of heads (" + std::to_string(heads) +
                 ") is not a multiple of the groups of B (" + std::to_string(B.size(2)) + ")");
  check.that(chunk_size >= 1, "chunk_size must be at least 1");
  check.that(dt_min <= dt_max, "dt_min is above dt_max");
  const auto type = x.scalar_type();
  check.dtype("B", B, type);
  check.dtype("C", C, type);
  check.activation("dt", dt);
  check.dtype("A", A, wide(type));
  if (D) {
    check.dtype("D", *D, wide(type));
    if (D->dim() == 1)
      check.shape("D", *D, {heads});
    else
      check.shape("D", *D, {heads, head_dim});
  }
  if (z) check.shape("z", *z, x.sizes()), check.dtype("z", *z, type);
  if (dt_bias)
    check.shape("dt_bias", *dt_bias, {heads}), check.dtype("dt_bias", *dt_bias, wide(type));
  if (initial_state) {
    check.shape("initial_state", *initial_state, state_sizes());
    check.dtype("initial_state", *initial_state, wide(type));
  }
  if (seq_idx)
    check.shape("seq_idx", *seq_idx, {batch, length}), check.dtype("seq_idx", *seq_idx, at::kInt);
}

void SsdArguments::make_dense() {
  x = last_contiguous(x);
  B = last_contiguous(B);
  C = last_contiguous(C);
  z = last_contiguous(z);
  A = A.contiguous();
  if (D) D = (D->dim() == 1 ? D->unsqueeze(1) : *D).contiguous();
  dt_bias = contiguous(dt_bias);
  initial_state = contiguous(initial_state);
  seq_idx = contiguous(seq_idx);
}

kernels::SsdInputs SsdArguments::inputs() const {
  kernels::SsdInputs in;
  in.x = view<4>(x);
  in.dt = view<3>(dt);
  in.A = view<1>(A);
  in.B = view<4>(B);
  in.C = view<4>(C);
  in.D = view<2>(D);
  in.z = view<4>(z);
  in.dt_bias = view<1>(dt_bias);
  in.initial_state = view<4>(initial_state);
  in.seq_idx = view<2>(seq_idx);
  in.dt_softplus = dt_softplus;
  in.dt_min = dt_min;
  in.dt_max = dt_max;
  in.chunk_size = chunk_size;
  return in;
}

std::tuple<Tensor, Tensor> empty_outputs(const SsdArguments& args) {
  return {at::empty(args.x.sizes(), args.x.options()),
          at::empty(args.state_sizes(), args.x.options().dtype(wide(args.x.scalar_type())))};
}

std::tuple<Tensor, Tensor> ssd_meta(const Tensor& x, const Tensor& dt, const Tensor& A,
                                    const Tensor& B, const Tensor& C, const OptionalTensor& D,
                                    const OptionalTensor& z, const OptionalTensor& dt_bias,
                                    bool dt_softplus, double dt_min, double dt_max,
                                    int64_t chunk_size, const OptionalTensor& initial_state,
                                    const OptionalTensor& seq_idx) {
  const SsdArguments args{
      x,      dt, A, B, C, D, z, dt_bias, dt_softplus, dt_min, dt_max, chunk_size, initial_state,
      seq_idx};
  args.check();
  return empty_outputs(args);
}

std::tuple<Tensor, Tensor> ssd_run(const Tensor& x, const Tensor& dt, const Tensor& A,
                                   const Tensor& B, const Tensor& C, const OptionalTensor& D,
                                   const OptionalTensor& z, const OptionalTensor& dt_bias,
                                   bool dt_softplus, double dt_min, double dt_max,
                                   int64_t chunk_size, const OptionalTensor& initial_state,
                                   const OptionalTensor& seq_idx) {
  SsdArguments args{
      x,      dt, A, B, C, D, z, dt_bias, dt_softplus, dt_min, dt_max, chunk_size, initial_state,
      seq_idx};
  args.check();
  args.make_dense();
  auto [y, final_state] = empty_outputs(args);
  run_kernel("ssd", args.x, kernels::ssd, &kernels::CudaKernels::ssd, args.inputs(),
             kernels::SsdOutputs{view<4>(y), view<4>(final_state)});
  return {y, final_state};
}

std::vector<Tensor> ssd_backward_run(const OptionalTensor& grad_y,
                                     const OptionalTensor& grad_final_state, const Tensor& x,
                                     const Tensor& dt, const Tensor& A, const Tensor& B,
                                     const Tensor& C, const OptionalTensor& D,
                                     const OptionalTensor& z, const OptionalTensor& dt_bias,
                                     bool dt_softplus, double dt_min, double dt_max,
                                     int64_t chunk_size, const OptionalTensor& initial_state,
                                     const OptionalTensor& seq_idx, std::array<bool, 10> needs) {
  SsdArguments args{
      x,      dt, A, B, C, D, z, dt_bias, dt_softplus, dt_min, dt_max, chunk_size, initial_state,
      seq_idx};
  args.make_dense();
  const Tensor gy =
      grad_y ? last_contiguous(*grad_y) : at::zeros_like(args.x, at::MemoryFormat::Contiguous);
  const OptionalTensor gs = contiguous(grad_final_state);
  // Gradients in the order of the schema's tensors: x dt A B C D z dt_bias initial_state seq_idx.
  const OptionalTensor inputs[] = {x, dt, A, B, C, D, z, dt_bias, initial_state};
  std::vector<Tensor> grads(10);
  for (size_t i = 0; i < 9; ++i) {
    if (needs[i]) grads[i] = empty_gradient(*inputs[i]);
  }
  kernels::SsdGradients out;
  out.grad_y = view<4>(gy);
  out.grad_final_state = view<4>(gs);
  out.grad_x = view<4>(grads[0]);
  out.grad_dt = view<3>(grads[1]);
  out.grad_A = view<1>(grads[2]);
  out.grad_B = view<4>(grads[3]);
  out.grad_C = view<4>(grads[4]);
  out.grad_D = view<2>(grads[5].defined() && D->dim() == 1 ? grads[5].unsqueeze(1) : grads[5]);
  out.grad_z = view<4>(grads[6]);
  out.grad_dt_bias = view<1>(grads[7]);
  out.grad_initial_state = view<4>(grads[8]);
  run_kernel("ssd_backward", args.x, kernels::ssd_backward, &kernels::CudaKernels::ssd_backward,
             args.inputs(), out);
  return grads;
}

Tensor ssd_update_meta(Tensor& /*state*/, const Tensor& x, const Tensor&, const Tensor&,
                       const Tensor&, const Tensor&, const OptionalTensor&, const OptionalTensor&,
                       const OptionalTensor&, bool, double, double, const OptionalTensor&) {
  return at::empty(x.sizes(), x.options());
}

Tensor ssd_update_run(Tensor& state, const Tensor& x, const Tensor& dt, const Tensor& A,
                      const Tensor& B, const Tensor& C, const OptionalTensor& D,
                      const OptionalTensor& z, const OptionalTensor& dt_bias, bool dt_softplus,
                      double dt_min, double dt_max, const OptionalTensor& state_indices) {
  const ArgumentCheck check("ssd_update", x);
  check.that(state.is_contiguous(), "state must be contiguous");
  check.shape("x", x, {-1, -1, -1});
  check.shape("state", state, {-1, x.size(1), x.size(2), -1});
  check.that(state_indices.has_value() || state.size(0) >= x.size(0),
             "state has fewer slots than rows");
  // One token is a sequence of length 1: its checks are those of ssd.
  const auto at_time = [](const Tensor& t) { return t.unsqueeze(1); };
  SsdArguments args{at_time(x),
                    at_time(dt),
                    A,
                    at_time(B),
                    at_time(C),
                    D,
                    z ? OptionalTensor(at_time(*z)) : std::nullopt,
                    dt_bias,
                    dt_softplus,
                    dt_min,
                    dt_max,
                    1,
                    std::nullopt,
                    std::nullopt};
  args.check();
  check.dtype("state", state, wide(x.scalar_type()));
  check.shape("state", state, {-1, -1, -1, B.size(2)});
  args.make_dense();
  if (state_indices) check_slots(check, *state_indices, x.size(0), state.size(0));
  state.unsafeGetTensorImpl()->bump_version();
  const OptionalTensor indices = contiguous(state_indices);
  const Tensor y = at::empty(x.sizes(), x.options());
  const auto row = [](const Tensor& t) { return t.squeeze(1); };
  kernels::SsdUpdate update;
  update.state = view<4>(state);
  update.x = view<3>(row(args.x));
  update.dt = view<2>(row(args.dt));
  update.A = view<1>(args.A);
  update.B = view<3>(row(args.B));
  update.C = view<3>(row(args.C));
  update.D = view<2>(args.D);
  if (args.z) update.z = view<3>(row(*args.z));
  update.dt_bias = view<1>(args.dt_bias);
  update.state_indices = view<1>(indices);
  update.y = view<3>(y);
  update.dt_softplus = dt_softplus;
  update.dt_min = dt_min;
  update.dt_max = dt_max;
  run_kernel("ssd_update", args.x, kernels::ssd_update, &kernels::CudaKernels::ssd_update, update);
  return y;
}

void register_ssd(torch::Library& library) {
  library.impl("ssd", &ssd_run);
  library.impl("ssd_backward", &ssd_backward_run);
  library.impl("ssd_update", &ssd_update_run);
}

}  // namespace

TORCH_LIBRARY_IMPL(adder, CPU, library) {
  register_ssd(library);
}

TORCH_LIBRARY_IMPL(adder, CUDA, library) {
  register_ssd(library);
}

TORCH_LIBRARY_IMPL(adder, Meta, library) {
  library.impl("ssd", &ssd_meta);
  library.impl("ssd_update", &ssd_update_meta);
}

}  // namespace adder::ops
