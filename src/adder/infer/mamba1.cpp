#include "adder/infer/mamba1.h"

#include <algorithm>
#include <cmath>

#include "adder/infer/carried_conv.h"
#include "adder/infer/for_rows.h"
#include "adder/infer/linear.h"
#include "adder/infer/views.h"
#include "adder/kernels/rms_norm.h"
#include "adder/kernels/selective_scan.h"
#include "adder/model/mamba1_spec.h"

namespace adder::infer {
namespace {

using kernels::dense;
using kernels::View;

constexpr int64_t kConvState = 0, kSsmState = 1;

class Mamba1 final : public Mixer {
 public:
  Mamba1(const model::ModelConfig& config, int64_t layer, const model::Weights& weights)
      : Mamba1(config, layer, weights, model::mixer_prefix(layer)) {}

  void prefill(const float* x, int64_t length, State& state, float* y, Arena& arena,
               const Parallel& parallel) const override {
    Pass p = project(x, length, arena, parallel);
    const int64_t width = size_.d_inner;
    conv_.prefill(rows(p.xz, length, width, 2 * width), state.array(layer_, kConvState), p.u, arena,
                  parallel);
    select(p, parallel);
    scan(p, state, arena, parallel);
    out_proj_.run(rows(p.y, length, width), rows(y, length, out_proj_.out()), parallel);
  }

  void step(const float* x, std::span<State* const> states, float* y, Arena& arena,
            const Parallel& parallel) const override {
    const auto count = static_cast<int64_t>(states.size()), width = size_.d_inner;
    Pass p = project(x, count, arena, parallel);
    for_rows(count, parallel, [&](int64_t row, const Parallel& threads) {
      conv_.step(p.xz + row * 2 * width, states[row]->array(layer_, kConvState), p.u + row * width,
                 threads);
    });
    select(p, parallel);
    for_rows(count, parallel,
             [&](int64_t row, const Parallel& threads) { update(p, row, *states[row], threads); });
    out_proj_.run(rows(p.y, count, width), rows(y, count, out_proj_.out()), parallel);
  }

 private:
  /// What a pass keeps, a row for each token.
  struct Pass {
    int64_t count;
    float* xz;        // (count, 2 d_inner)
    float* u;         // (count, d_inner): after the convolution
    float* selected;  // (count, x_proj): [dt | B | C]
    float* delta;     // (count, d_inner): before bias and softplus
    float* y;         // (count, d_inner)
  };

  Mamba1(const model::ModelConfig& config, int64_t layer, const model::Weights& weights,
         const std::string& prefix)
      : spec_(static_cast<const model::Mamba1Spec&>(config.mixer(layer))),
        size_(spec_.sizes(config.d_model)),
        layer_(layer),
        in_proj_(weights, prefix + "in_proj"),
        x_proj_(weights, prefix + "x_proj"),
        dt_proj_(weights, prefix + "dt_proj"),
        out_proj_(weights, prefix + "out_proj"),
        conv_(weights, prefix + "conv1d", /*silu=*/true),
        D_(weights.at(prefix + "D")),
        ones_(static_cast<std::size_t>(std::max(size_.dt_rank, spec_.d_state)), 1.0f) {
    const SmallTensor A_log(weights.at(prefix + "A_log"));
    A_.resize(static_cast<std::size_t>(size_.d_inner * spec_.d_state));
    for (std::size_t i = 0; i < A_.size(); ++i) A_[i] = -std::exp(A_log.data()[i]);
  }

  Pass project(const float* x, int64_t count, Arena& arena, const Parallel& parallel) const {
    Pass p{count,
           arena.take(count * 2 * size_.d_inner),
           arena.take(count * size_.d_inner),
           arena.take(count * size_.x_proj),
           arena.take(count * size_.d_inner),
           arena.take(count * size_.d_inner)};
    in_proj_.run(rows(x, count, in_proj_.in()), rows(p.xz, count, 2 * size_.d_inner), parallel);
    return p;
  }

  /// delta, B and C out of the convolved channels: the selection of arXiv 2312.00752, algorithm 2.
  void select(const Pass& p, const Parallel& parallel) const {
    const int64_t width = size_.d_inner, rank = size_.dt_rank, state = spec_.d_state;
    x_proj_.run(rows(p.u, p.count, width), rows(p.selected, p.count, size_.x_proj), parallel);
    if (spec_.norm_BCdt) {
      normalise(p, 0, rank, parallel);
      normalise(p, rank, state, parallel);
      normalise(p, rank + state, state, parallel);
    }
    dt_proj_.product(rows(p.selected, p.count, rank, size_.x_proj), rows(p.delta, p.count, width),
                     parallel);
  }

  /// Divides dt, B or C of each row by its root mean square.
  void normalise(const Pass& p, int64_t offset, int64_t width, const Parallel& parallel) const {
    kernels::RmsNormInputs in;
    in.x = rows(p.selected + offset, p.count, width, size_.x_proj);
    in.weight = dense<1>(const_cast<float*>(ones_.data()), DType::f32, {width});
    in.eps = spec_.norm_BCdt_eps;
    kernels::rms_norm(in, {in.x, {}}, parallel);
  }

  View<2> A() const {
    return dense<2>(const_cast<float*>(A_.data()), DType::f32, {size_.d_inner, spec_.d_state});
  }
  /// (1, count, width) out of rows that stand `stride` apart.
  static View<3> sequence(float* data, int64_t count, int64_t width, int64_t stride) {
    return {data, DType::f32, {1, count, width}, {count * stride, stride, 1}};
  }

  void scan(const Pass& p, State& state, Arena& arena, const Parallel& parallel) const {
    const int64_t width = size_.d_inner, size = width * spec_.d_state;
    const std::array<int64_t, 3> shape = {1, width, spec_.d_state};
    const auto keys = [&](int64_t offset) -> View<4> {
      return {p.selected + offset,
              DType::f32,
              {1, p.count, 1, spec_.d_state},
              {p.count * size_.x_proj, size_.x_proj, spec_.d_state, 1}};
    };
    const Arena::Scope scope(arena);
    float* kept = arena.take(size);
    kernels::SelectiveScanInputs in;
    in.u = sequence(p.u, p.count, width, width);
    in.delta = sequence(p.delta, p.count, width, width);
    in.A = A();
    in.B = keys(size_.dt_rank);
    in.C = keys(size_.dt_rank + spec_.d_state);
    in.D = vector(D_, width);
    in.z = sequence(p.xz + width, p.count, width, 2 * width);
    in.delta_bias = vector(dt_proj_.bias(), width);
    in.initial_state = dense<3>(state.array(layer_, kSsmState), DType::f32, shape);
    kernels::selective_scan(
        in, {sequence(p.y, p.count, width, width), dense<3>(kept, DType::f32, shape)}, parallel);
    std::copy_n(kept, size, state.array(layer_, kSsmState));
  }

  void update(const Pass& p, int64_t row, State& state, const Parallel& parallel) const {
    const int64_t width = size_.d_inner;
    float* B = p.selected + row * size_.x_proj + size_.dt_rank;
    const auto one = [&](float* data) { return rows(data, 1, width); };
    kernels::SelectiveScanUpdate scan;
    scan.state = dense<3>(state.array(layer_, kSsmState), DType::f32, {1, width, spec_.d_state});
    scan.u = one(p.u + row * width);
    scan.delta = one(p.delta + row * width);
    scan.A = A();
    scan.B = dense<3>(B, DType::f32, {1, 1, spec_.d_state});
    scan.C = dense<3>(B + spec_.d_state, DType::f32, {1, 1, spec_.d_state});
    scan.D = vector(D_, width);
    scan.z = one(p.xz + row * 2 * width + width);
    scan.delta_bias = vector(dt_proj_.bias(), width);
    scan.y = one(p.y + row * width);
    kernels::selective_scan_update(scan, parallel);
  }

  model::Mamba1Spec spec_;
  model::Mamba1Spec::Sizes size_;
  int64_t layer_;
  Linear in_proj_, x_proj_, dt_proj_, out_proj_;
  CarriedConv conv_;
  SmallTensor D_;
  std::vector<float> ones_;  // the weight of a norm that has none
  std::vector<float> A_;     // (d_inner, d_state)
};

}  // namespace

std::unique_ptr<Mixer> make_mamba1(const model::ModelConfig& config, int64_t layer,
                                   const model::Weights& weights) {
  return std::make_unique<Mamba1>(config, layer, weights);
}

}  // namespace adder::infer
