// causal_conv1d and causal_conv1d_update: checks, views, dispatch. The mathematics is in
// kernels/causal_conv1d.h.
#include "adder/kernels/causal_conv1d.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <tuple>
#include <vector>

#include "adder/ops/device.h"
#include "adder/ops/slices.h"

namespace adder::ops {

namespace {

bool parse_activation(const ArgumentCheck& check, c10::string_view activation) {
  check.that(activation == "silu" || activation == "none",
             "activation must be \"silu\" or \"none\"");
  return activation == "silu";
}

void check_arguments(const Tensor& x, const Tensor& weight, const OptionalTensor& bias,
                     const OptionalTensor& initial_state, const OptionalTensor& seq_idx) {
  const ArgumentCheck check("causal_conv1d", x);
  check.activation("x", x);
  check.shape("x", x, {-1, -1, -1});
  check.shape("weight", weight, {x.size(2), -1});
  check.that(weight.size(1) >= 1 && weight.size(1) <= 8, "the width of weight must be 1 to 8");
  check.that(x.size(1) >= 1, "the length is 0");
  check.dtype("weight", weight, wide(x.scalar_type()));
  if (bias)
    check.shape("bias", *bias, {x.size(2)}), check.dtype("bias", *bias, wide(x.scalar_type()));
  if (initial_state) {
    check.shape("initial_state", *initial_state, {x.size(0), weight.size(1) - 1, x.size(2)});
    check.dtype("initial_state", *initial_state, x.scalar_type());
  }
  if (seq_idx) {
    check.shape("seq_idx", *seq_idx, {x.size(0), x.size(1)});
    check.dtype("seq_idx", *seq_idx, at::kInt);
  }
}

std::tuple<Tensor, Tensor> causal_conv1d_meta(const Tensor& x, const Tensor& weight,
                                              const OptionalTensor& bias,
                                              const OptionalTensor& initial_state,
                                              const OptionalTensor& seq_idx,
                                              c10::string_view activation) {
  check_arguments(x, weight, bias, initial_state, seq_idx);
  parse_activation(ArgumentCheck("causal_conv1d", x), activation);
  return {at::empty(x.sizes(), x.options()),
          at::empty({x.size(0), weight.size(1) - 1, x.size(2)}, x.options())};
}

/// The kernel's inputs and the tensors they borrow from.
struct Prepared {
  Prepared(const Tensor& x, const Tensor& weight, const OptionalTensor& bias,
           const OptionalTensor& initial_state, const OptionalTensor& seq_idx, bool silu)
      : x(last_contiguous(x)),
        weight(weight.contiguous()),
        bias(contiguous(bias)),
        initial_state(contiguous(initial_state)),
        seq_idx(contiguous(seq_idx)) {
    in.x = view<3>(this->x);
    in.weight = view<2>(this->weight);
    in.bias = view<1>(this->bias);
    in.initial_state = view<3>(this->initial_state);
    in.seq_idx = view<2>(this->seq_idx);
    in.silu = silu;
  }

  Tensor x, weight;
  OptionalTensor bias, initial_state, seq_idx;
  kernels::Conv1dInputs in;
};

std::tuple<Tensor, Tensor> causal_conv1d_run(const Tensor& x, const Tensor& weight,
                                             const OptionalTensor& bias,
                                             const OptionalTensor& initial_state,
                                             const OptionalTensor& seq_idx,
                                             c10::string_view activation) {
  auto [y, final_state] = causal_conv1d_meta(x, weight, bias, initial_state, seq_idx, activation);
  const Prepared prepared(x, weight, bias, initial_state, seq_idx, activation == "silu");
  run_kernel("causal_conv1d", x, kernels::causal_conv1d, &kernels::CudaKernels::causal_conv1d,
             prepared.in, kernels::Conv1dOutputs{view<3>(y), view<3>(final_state)});
  return {y, final_state};
}

std::vector<Tensor> causal_conv1d_backward_run(
    const OptionalTensor& grad_y, const OptionalTensor& grad_final_state, const Tensor& x,
    const Tensor& weight, const OptionalTensor& bias, const OptionalTensor& initial_state,
    const OptionalTensor& seq_idx, c10::string_view activation, std::array<bool, 5> needs) {
  const Prepared prepared(x, weight, bias, initial_state, seq_idx, activation == "silu");
  const Tensor gy =
      grad_y ? last_contiguous(*grad_y) : at::zeros_like(x, at::MemoryFormat::Contiguous);
  const OptionalTensor gs = contiguous(grad_final_state);
  const OptionalTensor inputs[] = {x, weight, bias, initial_state};
  std::vector<Tensor> grads(5);  // x, weight, bias, initial_state, seq_idx
  for (size_t i = 0; i < 4; ++i) {
    if (needs[i]) grads[i] = empty_gradient(*inputs[i]);
  }
  kernels::Conv1dGradients out;
  out.grad_y = view<3>(gy);
  out.grad_final_state = view<3>(gs);
  out.grad_x = view<3>(grads[0]);
  out.grad_weight = view<2>(grads[1]);
  out.grad_bias = view<1>(grads[2]);
  out.grad_initial_state = view<3>(grads[3]);
  run_kernel("causal_conv1d_backward", x, kernels::causal_conv1d_backward,
             &kernels::CudaKernels::causal_conv1d_backward, prepared.in, out);
  return grads;
}

Tensor causal_conv1d_update_meta(Tensor& /*state*/, const Tensor& x, const Tensor&,
                                 const OptionalTensor&, const OptionalTensor&, c10::string_view) {
  return at::empty(x.sizes(), x.options());
}

Tensor causal_conv1d_update_run(Tensor& state, const Tensor& x, const Tensor& weight,
                                const OptionalTensor& bias, const OptionalTensor& state_indices,
                                c10::string_view activation) {
  const ArgumentCheck check("causal_conv1d_update", x);
  check.shape("x", x, {-1, -1});
  check_arguments(x.unsqueeze(1), weight, bias, std::nullopt, std::nullopt);
  check.shape("state", state, {-1, weight.size(1) - 1, x.size(1)});
  check.dtype("state", state, x.scalar_type());
  check.that(state.is_contiguous(), "state must be contiguous");
  check.that(state_indices.has_value() || state.size(0) >= x.size(0),
             "state has fewer slots than rows");
  if (state_indices) check_slots(check, *state_indices, x.size(0), state.size(0));
  state.unsafeGetTensorImpl()->bump_version();
  const Tensor dense_x = last_contiguous(x), dense_weight = weight.contiguous();
  const OptionalTensor dense_bias = contiguous(bias), indices = contiguous(state_indices);
  const Tensor y = at::empty(x.sizes(), x.options());
  kernels::Conv1dUpdate update;
  update.state = view<3>(state);
  update.x = view<2>(dense_x);
  update.weight = view<2>(dense_weight);
  update.bias = view<1>(dense_bias);
  update.state_indices = view<1>(indices);
  update.y = view<2>(y);
  update.silu = parse_activation(check, activation);
  run_kernel("causal_conv1d_update", x, kernels::causal_conv1d_update,
             &kernels::CudaKernels::causal_conv1d_update, update);
  return y;
}

void register_causal_conv1d(torch::Library& library) {
  library.impl("causal_conv1d", &causal_conv1d_run);
  library.impl("causal_conv1d_backward", &causal_conv1d_backward_run);
  library.impl("causal_conv1d_update", &causal_conv1d_update_run);
}

}  // namespace

TORCH_LIBRARY_IMPL(adder, CPU, library) {
  register_causal_conv1d(library);
}

TORCH_LIBRARY_IMPL(adder, CUDA, library) {
  register_causal_conv1d(library);
}

TORCH_LIBRARY_IMPL(adder, Meta, library) {
  library.impl("causal_conv1d", &causal_conv1d_meta);
  library.impl("causal_conv1d_update", &causal_conv1d_update_meta);
}

}  // namespace adder::ops
