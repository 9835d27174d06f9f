// How the gradients that are sums over heads or time are put together: fixed blocks of heads, a
// place for the sums of each, and their addition in order. Nothing here depends on the number of
// threads.
#pragma once

#include "adder/kernels/cpu/ssd_chunk.h"

namespace adder::kernels::ADDER_ISA {

/// The heads of a group in `count` blocks of `heads` (the last may be smaller).
struct Blocks {
  int64_t count, heads;
};

inline Blocks blocks_of(const Sizes& s) {
  constexpr int64_t kMostHeads =
      6;  // more share the work on B and C, fewer give more units to share out
  const int64_t wanted = (s.heads_a_group + kMostHeads - 1) / kMostHeads;
  const int64_t heads = (s.heads_a_group + wanted - 1) / wanted;
  return {(s.heads_a_group + heads - 1) / heads, heads};
}

/// Sums of one (row, head).
struct HeadSums {
  float *A, *dt_bias;
  float* D;  // (columns)
};

struct Partials {
  float *dB_all, *dC_all;  // (blocks, batch, groups, length, states)
  float *A, *dt_bias, *D;  // (batch, heads), (batch, heads), (batch, heads, columns)

  static int64_t keys(const Sizes& s, const Blocks& blocks) {
    return blocks.count * s.batch * s.groups * s.length * s.states;
  }
  static int64_t bytes(const Sizes& s, const Blocks& blocks) {
    return 2 * Scratch::bytes_for(keys(s, blocks)) + 2 * Scratch::bytes_for(s.batch * s.heads) +
           Scratch::bytes_for(s.batch * s.heads * s.columns);
  }
  Partials(const Sizes& s, const Blocks& blocks, Scratch& scratch)
      : dB_all(scratch.floats(keys(s, blocks))),
        dC_all(scratch.floats(keys(s, blocks))),
        A(scratch.floats(s.batch * s.heads)),
        dt_bias(scratch.floats(s.batch * s.heads)),
        D(scratch.floats(s.batch * s.heads * s.columns)) {}

  static int64_t key_row(const Sizes& s, int64_t block, int64_t batch, int64_t group,
                         int64_t time) {
    return (((block * s.batch + batch) * s.groups + group) * s.length + time) * s.states;
  }
  float* dB(const Sizes& s, int64_t block, int64_t batch, int64_t group, int64_t time) const {
    return dB_all + key_row(s, block, batch, group, time);
  }
  float* dC(const Sizes& s, int64_t block, int64_t batch, int64_t group, int64_t time) const {
    return dC_all + key_row(s, block, batch, group, time);
  }
  HeadSums head(const Sizes& s, int64_t batch, int64_t head) const {
    const int64_t i = batch * s.heads + head;
    return {A + i, dt_bias + i, D + i * s.columns};
  }
  void clear_head(const Sizes& s, int64_t batch, int64_t head_number) const {
    const HeadSums sums = head(s, batch, head_number);
    *sums.A = *sums.dt_bias = 0;
    for (int64_t p = 0; p < s.columns; ++p) sums.D[p] = 0;
  }
};

/// Adds the blocks of dB or dC for tokens [begin, end) of batch * length.
template <typename E>
inline void add_keys(const View<4>& to, const Sizes& s, const Blocks& blocks, const float* partial,
                     int64_t begin, int64_t end) {
  if (to.data == nullptr) return;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t batch = i / s.length, time = i % s.length;
    for (int64_t group = 0; group < s.groups; ++group) {
      E* row = static_cast<E*>(to.data) + batch * to.stride[0] + time * to.stride[1] +
               group * to.stride[2];
      for (int64_t n = 0; n < s.width; n += kLanes) {
        vf sum{};
        for (int64_t block = 0; block < blocks.count; ++block)
          sum += load(partial + Partials::key_row(s, block, batch, group, time) + n);
        store_up_to(row + n, sum, s.width - n);
      }
    }
  }
}

/// dA, dD and d dt_bias: sums over the rows of the batch, in double.
inline void add_heads(const SsdInputs& in, const SsdGradients& grads, const Sizes& s,
                      const Partials& partials) {
  for (int64_t h = 0; h < s.heads; ++h) {
    double A = 0, dt_bias = 0, whole = 0;
    for (int64_t b = 0; b < s.batch; ++b) {
      A += static_cast<double>(partials.A[b * s.heads + h]);
      dt_bias += static_cast<double>(partials.dt_bias[b * s.heads + h]);
    }
    if (grads.grad_A.data != nullptr)
      static_cast<float*>(grads.grad_A.data)[h * grads.grad_A.stride[0]] = static_cast<float>(A);
    if (grads.grad_dt_bias.data != nullptr)
      static_cast<float*>(grads.grad_dt_bias.data)[h * grads.grad_dt_bias.stride[0]] =
          static_cast<float>(dt_bias);
    if (grads.grad_D.data == nullptr || in.D.data == nullptr) continue;
    float* D = static_cast<float*>(grads.grad_D.data) + h * grads.grad_D.stride[0];
    for (int64_t p = 0; p < s.head_dim; ++p) {
      double channel = 0;
      for (int64_t b = 0; b < s.batch; ++b)
        channel += static_cast<double>(partials.D[(b * s.heads + h) * s.columns + p]);
      whole += channel;
      if (in.D.size[1] != 1) D[p * grads.grad_D.stride[1]] = static_cast<float>(channel);
    }
    if (in.D.size[1] == 1) D[0] = static_cast<float>(whole);
  }
}

}  // namespace adder::kernels::ADDER_ISA
