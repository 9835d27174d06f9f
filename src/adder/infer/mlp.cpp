#include "adder/infer/mlp.h"

#include "adder/infer/views.h"
#include "adder/kernels/mlp_activation.h"

namespace adder::infer {
Mlp::Mlp(const model::MlpSpec& spec, const model::Weights& weights, const std::string& prefix)
    : gated_(spec.kind == "swiglu"), fc1_(weights, prefix + "fc1"), fc2_(weights, prefix + "fc2") {}

void Mlp::run(const float* x, int64_t count, float* y, Arena& arena,
              const Parallel& parallel) const {
  const Arena::Scope scope(arena);
  const int64_t width = fc1_.in(), wide = fc1_.out(), hidden = fc2_.in();
  float* inner = arena.take(count * wide);
  fc1_.run(rows(x, count, width), rows(inner, count, wide), parallel);
  const kernels::View<2> a = rows(inner, count, hidden, wide);
  if (gated_) {  // [a | b]: a silu(b), in place of a
    kernels::swiglu(a, rows(inner + hidden, count, hidden, wide), a, parallel);
  } else {
    kernels::gelu(a, a, parallel);
  }
  fc2_.run(a, rows(y, count, width), parallel);
}

}  // namespace adder::infer
