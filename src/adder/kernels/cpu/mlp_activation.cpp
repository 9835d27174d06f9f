#include "adder/kernels/cpu/mlp_activation.h"

#include "adder/kernels/cpu/rows.h"

namespace adder::kernels::ADDER_ISA {
namespace {

constexpr int64_t kGrainFloats = 1 << 14;  // less is not worth another thread

template <typename Row>
void for_rows(const View<2>& y, const Parallel& parallel, const Row& row) {
  const auto body = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) row(i);
  };
  parallel.run(y.size[0], 1 + kGrainFloats / (y.size[1] + 1), body);
}

}  // namespace

void swiglu(const View<2>& up, const View<2>& gate, const View<2>& y, const Parallel& parallel) {
  const int64_t width = y.size[1];
  for_rows(y, parallel, [&](int64_t row) {
    const float *a = at<const float>(up, row), *b = at<const float>(gate, row);
    float* to = at<float>(y, row);
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t left = width - i;
      store_up_to(to + i, load_up_to(a + i, left) * silu(load_up_to(b + i, left)), left);
    }
  });
}

void gelu(const View<2>& x, const View<2>& y, const Parallel& parallel) {
  for_rows(y, parallel, [&](int64_t row) {
    const float* from = at<const float>(x, row);
    float* to = at<float>(y, row);
    for (int64_t i = 0; i < y.size[1]; ++i)  // erfc keeps the tail below zero precise
      to[i] = 0.5f * from[i] * __builtin_erfcf(-0.70710678f * from[i]);
  });
}

}  // namespace adder::kernels::ADDER_ISA
