#include "adder/infer/carried_conv.h"

#include <algorithm>

#include "adder/infer/views.h"
#include "adder/kernels/causal_conv1d.h"

namespace adder::infer {

using kernels::dense;

CarriedConv::CarriedConv(const model::Weights& weights, const std::string& name, bool silu)
    : channels_(weights.at(name + ".weight").shape[0]),
      taps_(weights.at(name + ".weight").shape[2]),
      silu_(silu),
      weight_(weights.at(name + ".weight")),
      bias_(SmallTensor::find(weights, name + ".bias")) {}

kernels::View<2> CarriedConv::taps() const {
  return dense<2>(weight_.view_data(), DType::f32, {channels_, taps_});
}

void CarriedConv::prefill(const kernels::View<2>& x, float* state, float* y, Arena& arena,
                          const Parallel& parallel) const {
  const int64_t length = x.size[0], before = taps_ - 1;
  const Arena::Scope scope(arena);
  float* kept = arena.take(before * channels_);
  kernels::Conv1dInputs in;
  in.x = {x.data, DType::f32, {1, length, channels_}, {length * x.stride[0], x.stride[0], 1}};
  in.weight = taps();
  in.bias = vector(bias_, channels_);
  in.silu = silu_;
  kernels::Conv1dOutputs out;
  out.y = dense<3>(y, DType::f32, {1, length, channels_});
  if (before > 0) {
    in.initial_state = dense<3>(state, DType::f32, {1, before, channels_});
    out.final_state = dense<3>(kept, DType::f32, {1, before, channels_});
  }
  kernels::causal_conv1d(in, out, parallel);
  std::copy_n(kept, before * channels_, state);
}

void CarriedConv::step(const float* x, float* state, float* y, const Parallel& parallel) const {
  kernels::Conv1dUpdate conv;
  // One tap has no state; to the kernel no place at all would mean padding.
  conv.state = dense<3>(taps_ > 1 ? state : y, DType::f32, {1, taps_ - 1, channels_});
  conv.x = rows(x, 1, channels_);
  conv.weight = taps();
  conv.bias = vector(bias_, channels_);
  conv.y = rows(y, 1, channels_);
  conv.silu = silu_;
  kernels::causal_conv1d_update(conv, parallel);
}

}  // namespace adder::infer
