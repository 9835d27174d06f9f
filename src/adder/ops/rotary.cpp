// rotary: heads turned by their positions (kernels/rotary.h). On the CPU with LibTorch's functions.
// The gradient is turned back.
#include "adder/kernels/rotary.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <array>
#include <vector>

#include "adder/ops/device.h"
#include "adder/ops/slices.h"

namespace adder::ops {
namespace {

Tensor rotary_meta(const Tensor& x, const Tensor& position, int64_t dim, double base,
                   bool /*interleaved*/) {
  const ArgumentCheck check("rotary", x);
  check.activation("x", x);
  check.shape("x", x, {-1, -1, -1, -1});
  check.shape("position", position, {-1, x.size(1)});
  check.that(position.size(0) == 1 || position.size(0) == x.size(0),
             "position has neither one row nor one for each of x");
  check.dtype("position", position, at::kLong);
  check.that(dim >= 0 && dim % 2 == 0 && dim <= x.size(3),
             "dim must be even and at most the width of a head");
  check.that(base > 0, "base must be above 0");
  return at::empty(x.sizes(), x.options());
}

/// x, or its gradient where `direction` is -1.
Tensor turn_on_cpu(const Tensor& x, const Tensor& position, int64_t dim, double base,
                   bool interleaved, double direction) {
  if (dim == 0) return x.clone();
  const auto type = wide(x.scalar_type());
  const auto in_double = position.options().dtype(at::kDouble);
  const Tensor exponents = at::arange(0, dim, 2, in_double) / static_cast<double>(-dim);
  const Tensor angles =  // (batch or 1, length, 1, dim / 2)
      (position.to(at::kDouble).unsqueeze(-1) * at::pow(base, exponents)).unsqueeze(2);
  const Tensor c = angles.cos().to(type), s = angles.sin().to(type) * direction;

  const Tensor turning = x.narrow(-1, 0, dim).to(type);
  const auto pairs = interleaved ? turning.unflatten(-1, {dim / 2, 2}).unbind(-1)  // (2i, 2i + 1)
                                 : turning.chunk(2, -1);                           // (i, i + dim/2)
  const std::vector<Tensor> turned = {pairs[0] * c - pairs[1] * s, pairs[0] * s + pairs[1] * c};
  const Tensor result = interleaved ? at::stack(turned, -1).flatten(-2) : at::cat(turned, -1);
  return at::cat({result.to(x.scalar_type()), x.narrow(-1, dim, x.size(-1) - dim)}, -1);
}

void turn_on_device(const Tensor& x, const Tensor& y, const Tensor& position, int64_t dim,
                    double base, bool interleaved, bool inverse) {
  const Tensor from = last_contiguous(x);
  run_on_device("rotary", x, &kernels::CudaKernels::rotary,
                kernels::RotaryTokens{view<4>(from), view<4>(y), view<2>(position), dim, base,
                                      interleaved, inverse});
}

Tensor rotary_run(const Tensor& x, const Tensor& position, int64_t dim, double base,
                  bool interleaved) {
  Tensor y = rotary_meta(x, position, dim, base, interleaved);
  if (x.is_cpu()) return turn_on_cpu(x, position, dim, base, interleaved, 1);
  turn_on_device(x, y, position, dim, base, interleaved, /*inverse=*/false);
  return y;
}

std::vector<Tensor> rotary_backward_run(const OptionalTensor& grad_y, const Tensor& x,
                                        const Tensor& position, int64_t dim, double base,
                                        bool interleaved, std::array<bool, 2> /*needs*/) {
  if (x.is_cpu()) return {turn_on_cpu(*grad_y, position, dim, base, interleaved, -1), Tensor()};
  const Tensor grad_x = empty_gradient(x);
  turn_on_device(*grad_y, grad_x, position, dim, base, interleaved, /*inverse=*/true);
  return {grad_x, Tensor()};
}

void register_rotary(torch::Library& library) {
  library.impl("rotary", &rotary_run);
  library.impl("rotary_backward", &rotary_backward_run);
}

}  // namespace

TORCH_LIBRARY_IMPL(adder, CPU, library) {
  register_rotary(library);
}

TORCH_LIBRARY_IMPL(adder, CUDA, library) {
  register_rotary(library);
}

TORCH_LIBRARY_IMPL(adder, Meta, library) {
  library.impl("rotary", &rotary_meta);
}

}  // namespace adder::ops
