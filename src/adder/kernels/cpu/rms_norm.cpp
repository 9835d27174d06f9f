#include "adder/kernels/cpu/rms_norm.h"

#include "adder/kernels/cpu/rows.h"

namespace adder::kernels::ADDER_ISA {
namespace {

/// r = x + residual, of whichever is not null; returns (mean(r^2) + eps)^(-1/2). Two sums, to hide
/// the latency of the additions.
float add_and_measure(const float* x, const float* residual, float* r, int64_t width, double eps) {
  vf squares[2] = {};
  for (int64_t i = 0; i < width; i += kLanes) {
    vf v = x != nullptr ? load_up_to(x + i, width - i) : splat(0.0f);
    if (residual != nullptr) v += load_up_to(residual + i, width - i);
    store_up_to(r + i, v, width - i);
    squares[i / kLanes % 2] += v * v;
  }
  const float mean = sum(squares[0] + squares[1]) / static_cast<float>(width);
  return 1.0f / __builtin_sqrtf(mean + static_cast<float>(eps));
}

/// The rows that backward reads for one row of the input.
struct BackwardRow {
  const float *r, *grad_y, *grad_new_residual;
  float* grad_r;
  float* grad_weight;  // added to
};

void backward_row(const BackwardRow& row, const float* weight, int64_t width, float rho) {
  vf dots{};
  for (int64_t i = 0; i < width; i += kLanes) {
    const int64_t left = width - i;
    const vf n = load_up_to(row.r + i, left) * rho, grad_y = load_up_to(row.grad_y + i, left);
    dots += n * grad_y * load_up_to(weight + i, left);
    store_up_to(row.grad_weight + i, load_up_to(row.grad_weight + i, left) + grad_y * n, left);
  }
  const float mean = sum(dots) / static_cast<float>(width);
  for (int64_t i = 0; i < width; i += kLanes) {
    const int64_t left = width - i;
    const vf g = load_up_to(row.grad_y + i, left) * load_up_to(weight + i, left);
    vf grad_r = rho * (g - load_up_to(row.r + i, left) * (rho * mean));
    if (row.grad_new_residual != nullptr) grad_r += load_up_to(row.grad_new_residual + i, left);
    store_up_to(row.grad_r + i, grad_r, left);
  }
}

}  // namespace

void rms_norm(const RmsNormInputs& in, const RmsNormOutputs& out, const Parallel& parallel) {
  const int64_t rows = in.x.size[0], width = in.x.size[1];
  const float* weight = static_cast<const float*>(in.weight.data);
  parallel.run(rows, 1 + 16384 / (width + 1), [&](int64_t begin, int64_t end) {
    const Buffers<4> buffers(width);
    for (int64_t row = begin; row < end; ++row) {
      const float* x = read_row(in.x, row, buffers[0]);
      const float* residual =
          in.residual.given() ? read_row(in.residual, row, buffers[1]) : nullptr;
      float* r = row_to_write(out.new_residual, row, buffers[2]);
      const float rho = add_and_measure(x, residual, r, width, in.eps);
      float* y = row_to_write(out.y, row, buffers[3]);
      for (int64_t i = 0; i < width; i += kLanes) {
        const vf n = load_up_to(r + i, width - i) * rho;
        store_up_to(y + i, n * load_up_to(weight + i, width - i), width - i);
      }
      write_row(out.y, row, y);
      write_row(out.new_residual, row, r);
    }
  });
}

void rms_norm_backward(const RmsNormInputs& in, const RmsNormGradients& grads,
                       const Parallel& parallel) {
  const int64_t rows = grads.grad_y.size[0], width = grads.grad_y.size[1];
  const float* weight = static_cast<const float*>(in.weight.data);
  sum_over_rows<4>(
      rows, width, grads.grad_weight, parallel,
      [&](int64_t row, float* grad_weight, const Buffers<4>& buffers) {
        const float* x = in.x.given() ? read_row(in.x, row, buffers[0]) : nullptr;
        const float* residual =
            in.residual.given() ? read_row(in.residual, row, buffers[1]) : nullptr;
        const float rho = add_and_measure(x, residual, buffers[2], width, in.eps);
        BackwardRow rows_of{.r = buffers[2],
                            .grad_y = read_row(grads.grad_y, row, buffers[0]),
                            .grad_new_residual = nullptr,
                            .grad_r = row_to_write(grads.grad_residual, row, buffers[3]),
                            .grad_weight = grad_weight};
        if (grads.grad_new_residual.given())
          rows_of.grad_new_residual = read_row(grads.grad_new_residual, row, buffers[1]);
        backward_row(rows_of, weight, width, rho);
        write_row(grads.grad_residual, row, rows_of.grad_r);
        write_row(grads.grad_x, row, rows_of.grad_r);
      });
}

}  // namespace adder::kernels::ADDER_ISA
