#include "adder/infer/softmax.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "adder/infer/carried_conv.h"
#include "adder/infer/for_rows.h"
#include "adder/infer/linear.h"
#include "adder/infer/views.h"
#include "adder/kernels/attention.h"
#include "adder/kernels/mlp_activation.h"
#include "adder/kernels/rotary.h"
#include "adder/model/softmax_spec.h"

namespace adder::infer {
namespace {

using kernels::View;

constexpr int64_t kKeys = 0, kValues = 1, kConvState = 2;

class Softmax final : public Mixer {
 public:
  Softmax(const model::ModelConfig& config, int64_t layer, const model::Weights& weights)
      : spec_(static_cast<const model::SoftmaxSpec&>(config.mixer(layer))),
        size_(spec_.sizes(config.d_model)),
        layer_(layer),
        frequencies_(kernels::rotary_frequencies(size_.rotary_dim, spec_.rotary_base)),
        in_proj_(weights, model::mixer_prefix(layer) + "in_proj"),
        out_proj_(weights, model::mixer_prefix(layer) + "out_proj") {
    if (spec_.d_conv > 0) {
      conv_.emplace(weights, model::mixer_prefix(layer) + "conv1d", /*silu=*/false);
    }
  }

  void prefill(const float* x, int64_t length, State& state, float* y, Arena& arena,
               const Parallel& parallel) const override {
    const Pass p = project(x, length, arena, parallel);
    if (conv_) {
      conv_->prefill(rows(p.projected, length, size_.qkv, size_.in_proj), conv_state(state), p.qkv,
                     arena, parallel);
    }
    attend(p, 0, length, state, parallel);
    finish(p, y, parallel);
  }

  void step(const float* x, std::span<State* const> states, float* y, Arena& arena,
            const Parallel& parallel) const override {
    const auto count = static_cast<int64_t>(states.size());
    const Pass p = project(x, count, arena, parallel);
    for_rows(count, parallel, [&](int64_t row, const Parallel& threads) {
      State& state = *states[static_cast<std::size_t>(row)];
      if (conv_) {
        conv_->step(p.projected + row * size_.in_proj, conv_state(state), p.qkv + row * p.stride,
                    threads);
      }
      attend(p, row, 1, state, threads);
    });
    finish(p, y, parallel);
  }

 private:
  /// What a pass keeps, a row for each token.
  struct Pass {
    int64_t count;
    float* projected;  // (count, in_proj): [q | k | v | mlp_up | mlp_gate]
    float* qkv;        // (count, qkv), rows `stride` apart: after the convolution
    int64_t stride;
    float* mixed;  // (count, d_inner): [attention | mlp]
  };

  float* conv_state(State& state) const {
    return spec_.d_conv > 1 ? state.array(layer_, kConvState) : nullptr;
  }

  Pass project(const float* x, int64_t count, Arena& arena, const Parallel& parallel) const {
    Pass p{};
    p.count = count;
    p.projected = arena.take(count * size_.in_proj);
    p.qkv = conv_ ? arena.take(count * size_.qkv) : p.projected;
    p.stride = conv_ ? size_.qkv : size_.in_proj;
    p.mixed = arena.take(count * size_.d_inner);
    in_proj_.run(rows(x, count, in_proj_.in()), rows(p.projected, count, size_.in_proj), parallel);
    return p;
  }

  /// `count` rows of some heads that stand `stride` apart.
  View<3> heads(float* data, int64_t count, int64_t number, int64_t stride) const {
    return {data, DType::f32, {count, number, spec_.head_dim}, {stride, spec_.head_dim, 1}};
  }

  View<1> frequencies() const {
    return kernels::dense<1>(const_cast<double*>(frequencies_.data()), DType::f64,
                             {static_cast<int64_t>(frequencies_.size())});
  }

  /// The rows [row, row + count) of the pass, the next tokens of `state`.
  void attend(const Pass& p, int64_t row, int64_t count, State& state,
              const Parallel& parallel) const {
    float* q = p.qkv + row * p.stride;
    float* k = q + size_.q;
    // Keys stand behind queries: one view of all the heads that rotate.
    kernels::rotary({heads(q, count, size_.heads + size_.kv_heads, p.stride), state.tokens,
                     frequencies(), spec_.rotary_interleaved},
                    parallel);
    float* keys = state.append(layer_, kKeys, count);
    float* values = state.append(layer_, kValues, count);
    for (int64_t i = 0; i < count; ++i) {
      std::copy_n(k + i * p.stride, size_.kv, keys + i * size_.kv);
      std::copy_n(k + i * p.stride + size_.kv, size_.kv, values + i * size_.kv);
    }
    const int64_t held = state.rows(layer_, kKeys);
    kernels::AttentionInputs in;
    in.q = heads(q, count, size_.heads, p.stride);
    in.k = heads(state.array(layer_, kKeys), held, size_.kv_heads, size_.kv);
    in.v = heads(state.array(layer_, kValues), held, size_.kv_heads, size_.kv);
    in.first = held - count;
    in.window = spec_.window;
    in.scale = size_.scale;
    kernels::attention(in, heads(p.mixed + row * size_.d_inner, count, size_.heads, size_.d_inner),
                       parallel);
  }

  /// The gated MLP beside the attention, and the output projection.
  void finish(const Pass& p, float* y, const Parallel& parallel) const {
    const float* up = p.projected + size_.qkv;
    kernels::swiglu(rows(up, p.count, spec_.d_mlp, size_.in_proj),
                    rows(up + spec_.d_mlp, p.count, spec_.d_mlp, size_.in_proj),
                    rows(p.mixed + size_.q, p.count, spec_.d_mlp, size_.d_inner), parallel);
    out_proj_.run(rows(p.mixed, p.count, size_.d_inner), rows(y, p.count, out_proj_.out()),
                  parallel);
  }

  model::SoftmaxSpec spec_;
  model::SoftmaxSpec::Sizes size_;
  int64_t layer_;
  std::vector<double> frequencies_;  // of the rotary pairs
  Linear in_proj_, out_proj_;
  std::optional<CarriedConv> conv_;
};

}  // namespace

std::unique_ptr<Mixer> make_softmax(const model::ModelConfig& config, int64_t layer,
                                    const model::Weights& weights) {
  return std::make_unique<Softmax>(config, layer, weights);
}

}  // namespace adder::infer
