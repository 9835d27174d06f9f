#include "adder/infer/mamba2.h"

#include <algorithm>
#include <cmath>

#include "adder/infer/carried_conv.h"
#include "adder/infer/for_rows.h"
#include "adder/infer/linear.h"
#include "adder/infer/views.h"
#include "adder/kernels/gated_rms_norm.h"
#include "adder/kernels/mlp_activation.h"
#include "adder/kernels/ssd.h"
#include "adder/model/mamba2_spec.h"

namespace adder::infer {
namespace {

using kernels::dense;
using kernels::View;

constexpr int64_t kConvState = 0, kSsmState = 1;

class Mamba2 final : public Mixer {
 public:
  Mamba2(const model::ModelConfig& config, int64_t layer, const model::Weights& weights)
      : Mamba2(config, layer, weights, model::mixer_prefix(layer)) {}

  void prefill(const float* x, int64_t length, State& state, float* y, Arena& arena,
               const Parallel& parallel) const override {
    Pass p = project(x, length, arena, parallel);
    conv_.prefill(rows(conv_input(p), length, size_.conv_dim, size_.in_proj),
                  state.array(layer_, kConvState), p.xBC, arena, parallel);
    scan(p, length, state, arena, parallel);
    finish(p, length, y, parallel);
  }

  void step(const float* x, std::span<State* const> states, float* y, Arena& arena,
            const Parallel& parallel) const override {
    const auto count = static_cast<int64_t>(states.size());
    const Pass p = project(x, count, arena, parallel);
    for_rows(count, parallel, [&](int64_t row, const Parallel& threads) {
      step_row(p, row, *states[row], threads);
    });
    finish(p, count, y, parallel);
  }

  void start(State& state) const override {
    if (!init_states_.given()) return;
    std::copy_n(init_states_.data(), size_.heads * spec_.head_dim * spec_.d_state,
                state.array(layer_, kSsmState));
  }

 private:
  Mamba2(const model::ModelConfig& config, int64_t layer, const model::Weights& weights,
         const std::string& prefix)
      : spec_(static_cast<const model::Mamba2Spec&>(config.mixer(layer))),
        size_(spec_.sizes(config.d_model)),
        layer_(layer),
        in_proj_(weights, prefix + "in_proj"),
        out_proj_(weights, prefix + "out_proj"),
        conv_(weights, prefix + "conv1d", /*silu=*/true),
        dt_bias_(weights.at(prefix + "dt_bias")),
        D_(weights.at(prefix + "D")),
        norm_(SmallTensor::find(weights, prefix + "norm.weight")),
        init_states_(SmallTensor::find(weights, prefix + "init_states")) {
    const SmallTensor A_log(weights.at(prefix + "A_log"));
    A_.resize(static_cast<std::size_t>(size_.heads));
    for (std::size_t h = 0; h < A_.size(); ++h) A_[h] = -std::exp(A_log.data()[h]);
  }

  /// What a pass keeps, a row for each token.
  struct Pass {
    float* projected;  // (rows, in_proj): [z_mlp | x_mlp | z | xBC | dt]
    float* xBC;        // (rows, conv_dim): after the convolution
    float* scanned;    // (rows, d_ssm): output of the scan
    float* gated;      // (rows, d_inner): [mlp | normed]; without a norm the scan writes here
  };

  bool has_norm() const { return norm_.given(); }
  const float* z(const Pass& p) const { return p.projected + 2 * size_.d_mlp; }
  const float* conv_input(const Pass& p) const { return z(p) + size_.d_ssm; }
  const float* dt(const Pass& p) const { return conv_input(p) + size_.conv_dim; }
  int64_t B_offset() const { return size_.d_ssm; }
  int64_t C_offset() const { return size_.d_ssm + spec_.n_groups * spec_.d_state; }

  Pass project(const float* x, int64_t count, Arena& arena, const Parallel& parallel) const {
    Pass p{};
    p.projected = arena.take(count * size_.in_proj);
    p.xBC = arena.take(count * size_.conv_dim);
    p.gated = arena.take(count * size_.d_inner);
    p.scanned = has_norm() ? arena.take(count * size_.d_ssm) : p.gated + size_.d_mlp;
    in_proj_.run(rows(x, count, in_proj_.in()), rows(p.projected, count, size_.in_proj), parallel);
    return p;
  }

  int64_t scanned_stride() const { return has_norm() ? size_.d_ssm : size_.d_inner; }

  /// The part of a row of B or C, as (1, length, groups, d_state).
  View<4> groups(const float* data, int64_t length) const {
    return {const_cast<float*>(data),
            DType::f32,
            {1, length, spec_.n_groups, spec_.d_state},
            {length * size_.conv_dim, size_.conv_dim, spec_.d_state, 1}};
  }
  View<4> heads(const float* data, int64_t length, int64_t stride) const {
    return {const_cast<float*>(data),
            DType::f32,
            {1, length, size_.heads, spec_.head_dim},
            {length * stride, stride, spec_.head_dim, 1}};
  }
  View<1> A() const { return dense<1>(const_cast<float*>(A_.data()), DType::f32, {size_.heads}); }
  View<2> skip() const {
    return dense<2>(D_.view_data(), DType::f32,
                    {size_.heads, spec_.D_has_head_dim ? spec_.head_dim : 1});
  }

  void scan(const Pass& p, int64_t length, State& state, Arena& arena,
            const Parallel& parallel) const {
    const std::array<int64_t, 4> shape = {1, size_.heads, spec_.head_dim, spec_.d_state};
    const int64_t count = size_.heads * spec_.head_dim * spec_.d_state;
    const Arena::Scope scope(arena);
    float* kept = arena.take(count);
    kernels::SsdInputs in;
    in.x = heads(p.xBC, length, size_.conv_dim);
    in.dt = {const_cast<float*>(dt(p)),
             DType::f32,
             {1, length, size_.heads},
             {length * size_.in_proj, size_.in_proj, 1}};
    in.A = A();
    in.B = groups(p.xBC + B_offset(), length);
    in.C = groups(p.xBC + C_offset(), length);
    in.D = skip();
    if (!has_norm()) in.z = heads(z(p), length, size_.in_proj);
    in.dt_bias = vector(dt_bias_, size_.heads);
    in.initial_state = dense<4>(state.array(layer_, kSsmState), DType::f32, shape);
    in.dt_min = spec_.dt_limit_min;
    in.dt_max = spec_.dt_limit_max;
    in.chunk_size = spec_.chunk_size;
    kernels::ssd(in,
                 {heads(p.scanned, length, scanned_stride()), dense<4>(kept, DType::f32, shape)},
                 parallel);
    std::copy_n(kept, count, state.array(layer_, kSsmState));
  }

  void step_row(const Pass& p, int64_t row, State& state, const Parallel& parallel) const {
    const int64_t projected = row * size_.in_proj;
    float* xBC = p.xBC + row * size_.conv_dim;
    conv_.step(conv_input(p) + projected, state.array(layer_, kConvState), xBC, parallel);

    const auto of_heads = [&](const float* data) {
      return dense<3>(const_cast<float*>(data), DType::f32, {1, size_.heads, spec_.head_dim});
    };
    const auto of_groups = [&](const float* data) {
      return dense<3>(const_cast<float*>(data), DType::f32, {1, spec_.n_groups, spec_.d_state});
    };
    kernels::SsdUpdate ssd;
    ssd.state = dense<4>(state.array(layer_, kSsmState), DType::f32,
                         {1, size_.heads, spec_.head_dim, spec_.d_state});
    ssd.x = of_heads(xBC);
    ssd.dt = rows(dt(p) + projected, 1, size_.heads);
    ssd.A = A();
    ssd.B = of_groups(xBC + B_offset());
    ssd.C = of_groups(xBC + C_offset());
    ssd.D = skip();
    if (!has_norm()) ssd.z = of_heads(z(p) + projected);
    ssd.dt_bias = vector(dt_bias_, size_.heads);
    ssd.y = of_heads(p.scanned + row * scanned_stride());
    ssd.dt_min = spec_.dt_limit_min;
    ssd.dt_max = spec_.dt_limit_max;
    kernels::ssd_update(ssd, parallel);
  }

  /// Gated norm, the gated MLP of the channels that pass no SSM, output projection.
  void finish(const Pass& p, int64_t count, float* y, const Parallel& parallel) const {
    if (has_norm()) {
      kernels::GatedRmsNormInputs in;
      in.x = rows(p.scanned, count, size_.d_ssm);
      in.weight = vector(norm_, size_.d_ssm);
      in.z = rows(z(p), count, size_.d_ssm, size_.in_proj);
      in.eps = spec_.norm_eps;
      in.group_size = spec_.norm_group == "full" ? size_.d_ssm : size_.d_ssm / spec_.n_groups;
      in.norm_before_gate = spec_.gated_norm == "before";
      kernels::gated_rms_norm(in, rows(p.gated + size_.d_mlp, count, size_.d_ssm, size_.d_inner),
                              parallel);
    }
    kernels::swiglu(rows(p.projected + size_.d_mlp, count, size_.d_mlp, size_.in_proj),
                    rows(p.projected, count, size_.d_mlp, size_.in_proj),
                    rows(p.gated, count, size_.d_mlp, size_.d_inner), parallel);
    out_proj_.run(rows(p.gated, count, size_.d_inner), rows(y, count, out_proj_.out()), parallel);
  }

  model::Mamba2Spec spec_;
  model::Mamba2Spec::Sizes size_;
  int64_t layer_;
  Linear in_proj_, out_proj_;
  CarriedConv conv_;
  SmallTensor dt_bias_, D_, norm_, init_states_;
  std::vector<float> A_;  // (heads)
};

}  // namespace

std::unique_ptr<Mixer> make_mamba2(const model::ModelConfig& config, int64_t layer,
                                   const model::Weights& weights) {
  return std::make_unique<Mamba2>(config, layer, weights);
}

}  // namespace adder::infer
