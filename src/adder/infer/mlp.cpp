#include "adder/infer/mlp.h"

#include <cmath>
#include <numbers>

#include "adder/infer/views.h"

namespace adder::infer {
namespace {

float silu(float x) {
  return x / (1 + std::exp(-x));
}

float gelu(float x) {
  return x / 2 * (1 + std::erf(x / std::numbers::sqrt2_v<float>));
}

}  // namespace

Mlp::Mlp(const model::MlpSpec& spec, const model::Weights& weights, const std::string& prefix)
    : gated_(spec.kind == "swiglu"), fc1_(weights, prefix + "fc1"), fc2_(weights, prefix + "fc2") {}

void Mlp::run(const float* x, int64_t count, float* y, Arena& arena,
              const Parallel& parallel) const {
  const Arena::Scope scope(arena);
  const int64_t width = fc1_.in(), wide = fc1_.out(), hidden = fc2_.in();
  float* inner = arena.take(count * wide);
  fc1_.run(rows(x, count, width, width), rows(inner, count, wide, wide), parallel);
  parallel.run(count, 1 + (1 << 14) / hidden, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* a = inner + row * wide;  // gated: [a | b], and a becomes a * silu(b)
      for (int64_t i = 0; i < hidden; ++i) a[i] = gated_ ? a[i] * silu(a[hidden + i]) : gelu(a[i]);
    }
  });
  fc2_.run(rows(inner, count, hidden, wide), rows(y, count, width, width), parallel);
}

}  // namespace adder::infer
