#include "adder/kernels/cpu/gated_rms_norm.h"

#include "adder/kernels/cpu/rows.h"

namespace adder::kernels::ADDER_ISA {
namespace {

/// One group of channels of one row; z is null when there is no gate.
struct Group {
  const float *x, *z, *weight;
  int64_t size;
  float eps;
  bool norm_before_gate;
};

/// silu(z), 1 without a gate.
ADDER_INLINE vf gate_of(const Group& group, int64_t i) {
  return group.z != nullptr ? silu(load_up_to(group.z + i, group.size - i)) : splat(1.0f);
}

/// Writes the gate and what is normalised, v = x silu(z) or x; returns rho = (mean(v^2) +
/// eps)^(-1/2).
float gate_and_measure(const Group& group, float* gates, float* v) {
  vf squares[2] = {};
  for (int64_t i = 0; i < group.size; i += kLanes) {
    const int64_t left = group.size - i;
    const vf gate = gate_of(group, i), x = load_up_to(group.x + i, left);
    const vf value = group.norm_before_gate ? x : x * gate;
    store_up_to(gates + i, gate, left);
    store_up_to(v + i, value, left);
    squares[i / kLanes % 2] += value * value;
  }
  const float mean = sum(squares[0] + squares[1]) / static_cast<float>(group.size);
  return 1.0f / __builtin_sqrtf(mean + group.eps);
}

/// y of a group that gate_and_measure has been through.
void scale_group(const Group& group, const float* gates, const float* v, float rho, float* y) {
  for (int64_t i = 0; i < group.size; i += kLanes) {
    const int64_t left = group.size - i;
    vf out = load_up_to(v + i, left) * rho * load_up_to(group.weight + i, left);
    if (group.norm_before_gate) out *= load_up_to(gates + i, left);
    store_up_to(y + i, out, left);
  }
}

struct GroupGradients {
  const float* grad_y;
  float *grad_x, *grad_z, *normed;  // normed may be null
  float* grad_weight;               // added to
};

/// With n = v rho and g = grad_y weight (silu(z) if the gate comes after):  dv = rho (g - n mean(n
/// g)).
void backward_group(const Group& group, const GroupGradients& grads, float* gates, float* v) {
  const float rho = gate_and_measure(group, gates, v);
  if (grads.normed != nullptr) scale_group(group, gates, v, rho, grads.normed);
  const bool gate_after = group.norm_before_gate;
  vf dots{};
  for (int64_t i = 0; i < group.size; i += kLanes) {
    const int64_t left = group.size - i;
    vf scaled = load_up_to(grads.grad_y + i, left) * load_up_to(v + i, left) * rho;
    if (gate_after) scaled *= load_up_to(gates + i, left);
    dots += scaled * load_up_to(group.weight + i, left);
    store_up_to(grads.grad_weight + i, load_up_to(grads.grad_weight + i, left) + scaled, left);
  }
  const float mean = sum(dots) / static_cast<float>(group.size);
  for (int64_t i = 0; i < group.size; i += kLanes) {
    const int64_t left = group.size - i;
    const vf gate = load_up_to(gates + i, left), n = load_up_to(v + i, left) * rho;
    const vf grad_out = load_up_to(grads.grad_y + i, left) * load_up_to(group.weight + i, left);
    const vf grad_v = rho * ((gate_after ? grad_out * gate : grad_out) - n * mean);
    store_up_to(grads.grad_x + i, gate_after ? grad_v : grad_v * gate, left);
    if (group.z == nullptr) continue;
    const vf grad_gate = gate_after ? grad_out * n : grad_v * load_up_to(group.x + i, left);
    store_up_to(grads.grad_z + i, grad_gate * silu_slope(load_up_to(group.z + i, left)), left);
  }
}

/// Calls body(group, offset) for the groups of one row.
template <typename Body>
void for_groups(const GatedRmsNormInputs& in, const float* x, const float* z, const Body& body) {
  const float* weight = static_cast<const float*>(in.weight.data);
  for (int64_t offset = 0; offset < in.x.size[1]; offset += in.group_size)
    body(Group{.x = x + offset,
               .z = z != nullptr ? z + offset : nullptr,
               .weight = weight + offset,
               .size = in.group_size,
               .eps = static_cast<float>(in.eps),
               .norm_before_gate = in.norm_before_gate},
         offset);
}

}  // namespace

void gated_rms_norm(const GatedRmsNormInputs& in, const View<2>& y, const Parallel& parallel) {
  const int64_t rows = in.x.size[0], width = in.x.size[1];
  parallel.run(rows, 1 + 8192 / (width + 1), [&](int64_t begin, int64_t end) {
    const Buffers<5> buffers(width);
    for (int64_t row = begin; row < end; ++row) {
      const float* x = read_row(in.x, row, buffers[0]);
      const float* z = in.z.given() ? read_row(in.z, row, buffers[1]) : nullptr;
      float* to = row_to_write(y, row, buffers[4]);
      for_groups(in, x, z, [&](const Group& group, int64_t offset) {
        const float rho = gate_and_measure(group, buffers[2], buffers[3]);
        scale_group(group, buffers[2], buffers[3], rho, to + offset);
      });
      write_row(y, row, to);
    }
  });
}

void gated_rms_norm_backward(const GatedRmsNormInputs& in, const GatedRmsNormGradients& grads,
                             const Parallel& parallel) {
  const int64_t rows = in.x.size[0], width = in.x.size[1];
  const auto add_row = [&](int64_t row, float* grad_weight, const Buffers<8>& buffers) {
    const float* x = read_row(in.x, row, buffers[0]);
    const float* z = in.z.given() ? read_row(in.z, row, buffers[1]) : nullptr;
    const float* grad_y = read_row(grads.grad_y, row, buffers[2]);
    float* grad_x = row_to_write(grads.grad_x, row, buffers[5]);
    float* grad_z = row_to_write(grads.grad_z, row, buffers[6]);
    float* normed = grads.normed.given() ? row_to_write(grads.normed, row, buffers[7]) : nullptr;
    for_groups(in, x, z, [&](const Group& group, int64_t offset) {
      const GroupGradients out{.grad_y = grad_y + offset,
                               .grad_x = grad_x + offset,
                               .grad_z = grad_z + offset,
                               .normed = normed != nullptr ? normed + offset : nullptr,
                               .grad_weight = grad_weight + offset};
      backward_group(group, out, buffers[3], buffers[4]);
    });
    write_row(grads.grad_x, row, grad_x);
    if (z != nullptr) write_row(grads.grad_z, row, grad_z);
    write_row(grads.normed, row, normed);
  };
  sum_over_rows<8>(rows, width, grads.grad_weight, parallel, add_row);
}

}  // namespace adder::kernels::ADDER_ISA
