// swiglu: y = up silu(gate). On the CPU with LibTorch's functions.
#include "adder/kernels/swiglu.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <array>
#include <vector>

#include "adder/ops/device.h"
#include "adder/ops/slices.h"

namespace adder::ops {
namespace {

constexpr const char* kSwiglu = "swiglu";

Tensor swiglu_meta(const Tensor& up, const Tensor& gate) {
  const ArgumentCheck check(kSwiglu, up);
  check.activation("up", up);
  check.that(up.dim() >= 1, "up has no dimension");
  check.shape("gate", gate, up.sizes());
  check.dtype("gate", gate, up.scalar_type());
  return at::empty(up.sizes(), up.options());
}

Tensor swiglu_cpu(const Tensor& up, const Tensor& gate) {
  swiglu_meta(up, gate);
  return up * at::silu(gate);
}

std::vector<Tensor> swiglu_backward_cpu(const OptionalTensor& grad_y, const Tensor& up,
                                        const Tensor& gate, std::array<bool, 2> needs) {
  std::vector<Tensor> grads(2);
  if (needs[0]) grads[0] = *grad_y * at::silu(gate);
  if (needs[1]) grads[1] = at::silu_backward(*grad_y * up, gate);
  return grads;
}

/// (..., width) as (rows, width), each row dense.
Tensor dense_rows(const Tensor& tensor) {
  return last_contiguous(tensor.reshape({-1, tensor.size(-1)}));
}

/// The kernel's inputs and the tensors that they borrow from.
struct SwigluRows {
  SwigluRows(const Tensor& up, const Tensor& gate) : up(dense_rows(up)), gate(dense_rows(gate)) {
    in = {view<2>(this->up), view<2>(this->gate)};
  }
  Tensor up, gate;
  kernels::SwigluInputs in;
};

Tensor swiglu_cuda(const Tensor& up, const Tensor& gate) {
  Tensor y = swiglu_meta(up, gate);
  const SwigluRows rows(up, gate);
  run_on_device(kSwiglu, up, &kernels::CudaKernels::swiglu, rows.in, view<2>(dense_rows(y)));
  return y;
}

std::vector<Tensor> swiglu_backward_cuda(const OptionalTensor& grad_y, const Tensor& up,
                                         const Tensor& gate, std::array<bool, 2> needs) {
  const SwigluRows rows(up, gate);
  const Tensor gy = dense_rows(*grad_y);
  std::vector<Tensor> grads(2);
  kernels::SwigluGradients out;
  out.grad_y = view<2>(gy);
  if (needs[0]) grads[0] = empty_gradient(up), out.grad_up = view<2>(dense_rows(grads[0]));
  if (needs[1]) grads[1] = empty_gradient(gate), out.grad_gate = view<2>(dense_rows(grads[1]));
  run_on_device("swiglu_backward", up, &kernels::CudaKernels::swiglu_backward, rows.in, out);
  return grads;
}

}  // namespace

TORCH_LIBRARY_IMPL(adder, CPU, library) {
  library.impl("swiglu", &swiglu_cpu);
  library.impl("swiglu_backward", &swiglu_backward_cpu);
}

TORCH_LIBRARY_IMPL(adder, CUDA, library) {
  library.impl("swiglu", &swiglu_cuda);
  library.impl("swiglu_backward", &swiglu_backward_cuda);
}

TORCH_LIBRARY_IMPL(adder, Meta, library) {
  library.impl("swiglu", &swiglu_meta);
}

}  // namespace adder::ops
