// For the tests of this room: models with random weights, and Mamba-2 written as plain loops in
// double (mamba-core 1.5, 1.6, 2.2, 2.5), independent of the kernels.
#pragma once

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "adder/base/rng.h"
#include "adder/model/directory.h"
#include "adder/model/mamba2_spec.h"

namespace adder::infer::testing_support {

inline model::Mamba2Spec& mamba2(model::ModelConfig& config) {
  return static_cast<model::Mamba2Spec&>(config.mixers.at("mamba2"));
}

inline model::ModelConfig small_config() {
  model::ModelConfig config;
  config.vocab_size = 29;
  config.d_model = 16;
  config.n_layer = 2;
  mamba2(config).head_dim = 8;
  mamba2(config).d_state = 12;
  return config;
}

/// The small config with options set: {"mamba2.n_groups=2", "tie_embeddings=false"}.
inline model::ModelConfig with_options(const std::vector<std::string>& options) {
  model::ModelConfig config = small_config();
  const auto entries = flatten(config);
  for (const std::string& option : options) {
    const std::size_t split = option.find('=');
    set_from_text(find_option(entries, option.substr(0, split)), option.substr(split + 1));
  }
  return config;
}

/// Weights where nothing is one or zero, so that no term hides.
struct RandomModel {
  explicit RandomModel(model::ModelConfig c, uint64_t seed = 7) : config(std::move(c)) {
    for (const model::TensorSpec& spec : tensor_specs(config)) {
      auto& values = storage[spec.name];
      values.resize(static_cast<std::size_t>(model::element_count(spec.shape)));
      Rng rng(seed, stream_of(spec.name.c_str()));
      const bool matrix = spec.shape.size() == 2;
      const double scale = matrix ? 1.5 / std::sqrt(static_cast<double>(spec.shape[1])) : 0.4;
      const double centre = spec.name.ends_with("norm.weight") ? 1 : 0;
      for (float& value : values) value = static_cast<float>(centre + scale * rng.normal());
      weights[spec.name] = {values.data(), DType::f32, spec.shape};
    }
  }
  model::ModelConfig config;
  std::map<std::string, std::vector<float>> storage;
  model::Weights weights;
};

inline std::vector<int32_t> random_ids(int64_t count, int64_t vocab, uint64_t seed = 1) {
  Rng rng(seed);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(rng.below(vocab)));
  return ids;
}

using Row = std::vector<double>;
using Rows = std::vector<Row>;  // [time][channel]

class NaiveMamba2 {
 public:
  explicit NaiveMamba2(const RandomModel& source) : source_(source) {}

  /// Logits after each token.
  Rows logits(const std::vector<int32_t>& ids) const {
    const auto& config = source_.config;
    Rows stream;
    for (const int32_t id : ids) {
      stream.push_back(row("backbone.embeddings.weight", id, config.d_model));
    }
    for (int64_t layer = 0; layer < config.n_layer; ++layer) {
      const std::string base = "backbone.layers." + std::to_string(layer);
      Rows normed;
      for (const Row& r : stream)
        normed.push_back(norm(r, get(base + ".norm.weight"), config.norm_eps));
      const Rows added = mixer(normed, base + ".mixer.");
      for (std::size_t t = 0; t < ids.size(); ++t) {
        for (std::size_t i = 0; i < stream[t].size(); ++i) stream[t][i] += added[t][i];
      }
    }
    const char* head = config.tie_embeddings ? "backbone.embeddings.weight" : "lm_head.weight";
    Rows out;
    for (const Row& r : stream) {
      out.push_back(product(norm(r, get("backbone.norm_f.weight"), config.norm_eps), head));
    }
    return out;
  }

 private:
  static double silu(double x) { return x / (1 + std::exp(-x)); }
  bool has(const std::string& name) const { return source_.storage.contains(name); }
  Row get(const std::string& name) const {
    const auto& values = source_.storage.at(name);
    return Row(values.begin(), values.end());
  }
  Row row(const std::string& name, int64_t index, int64_t width) const {
    const Row all = get(name);
    return Row(all.begin() + index * width, all.begin() + (index + 1) * width);
  }
  Row product(const Row& x, const std::string& weight, const std::string& bias = "") const {
    const Row w = get(weight);
    Row y = has(bias) ? get(bias) : Row(w.size() / x.size(), 0.0);
    for (std::size_t o = 0; o < y.size(); ++o) {
      for (std::size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
    }
    return y;
  }
  static Row norm(const Row& x, const Row& weight, double eps, std::size_t group = 0) {
    if (group == 0) group = x.size();
    Row y(x.size());
    for (std::size_t begin = 0; begin < x.size(); begin += group) {
      double square = 0;
      for (std::size_t i = begin; i < begin + group; ++i) square += x[i] * x[i];
      const double scale = 1 / std::sqrt(square / static_cast<double>(group) + eps);
      for (std::size_t i = begin; i < begin + group; ++i) y[i] = weight[i] * x[i] * scale;
    }
    return y;
  }

  Rows mixer(const Rows& input, const std::string& p) const {
    const auto& spec = static_cast<const model::Mamba2Spec&>(source_.config.mixers.at("mamba2"));
    const int64_t d_inner = spec.expand * source_.config.d_model;
    const int64_t d_ssm = spec.d_ssm > 0 ? spec.d_ssm : d_inner, mlp = d_inner - d_ssm;
    const int64_t N = spec.d_state, P = spec.head_dim, H = d_ssm / P, G = spec.n_groups;
    const int64_t conv_dim = d_ssm + 2 * G * N, W = spec.d_conv;
    const Row conv_w = get(p + "conv1d.weight"), dt_bias = get(p + "dt_bias"),
              A_log = get(p + "A_log"), D = get(p + "D");
    const Row conv_b = has(p + "conv1d.bias") ? get(p + "conv1d.bias")
                                              : Row(static_cast<std::size_t>(conv_dim), 0.0);
    Row S = has(p + "init_states") ? get(p + "init_states")
                                   : Row(static_cast<std::size_t>(H * P * N), 0.0);
    Rows xBC_in, out;
    for (const Row& u : input) {
      const Row proj = product(u, p + "in_proj.weight", p + "in_proj.bias");
      const double* z = proj.data() + 2 * mlp;
      const double* dt = z + d_ssm + conv_dim;
      xBC_in.emplace_back(z + d_ssm, z + d_ssm + conv_dim);
      const auto t = static_cast<int64_t>(xBC_in.size()) - 1;
      Row xBC(static_cast<std::size_t>(conv_dim));
      for (int64_t c = 0; c < conv_dim; ++c) {
        double sum = conv_b[c];
        for (int64_t w = 0; w < W; ++w) {
          if (t - (W - 1) + w >= 0) sum += conv_w[c * W + w] * xBC_in[t - (W - 1) + w][c];
        }
        xBC[c] = silu(sum);
      }
      Row y(static_cast<std::size_t>(d_ssm));
      for (int64_t h = 0; h < H; ++h) {
        const double raw = dt[h] + dt_bias[h];
        const double delta =
            std::min(std::max(std::log1p(std::exp(raw)), spec.dt_limit_min), spec.dt_limit_max);
        const double* B = xBC.data() + d_ssm + (h * G / H) * N;
        const double* C = B + G * N;
        for (int64_t q = 0; q < P; ++q) {
          const double x = xBC[h * P + q];
          double sum = (spec.D_has_head_dim ? D[h * P + q] : D[h]) * x;
          for (int64_t n = 0; n < N; ++n) {
            double& s = S[(h * P + q) * N + n];
            s = std::exp(-std::exp(A_log[h]) * delta) * s + delta * x * B[n];
            sum += s * C[n];
          }
          y[h * P + q] = sum;
        }
      }
      out.push_back(product(finish(y, z, proj, mlp, d_ssm, G, p, spec), p + "out_proj.weight",
                            p + "out_proj.bias"));
    }
    return out;
  }

  Row finish(Row y, const double* z, const Row& proj, int64_t mlp, int64_t d_ssm, int64_t G,
             const std::string& p, const model::Mamba2Spec& spec) const {
    const auto group = static_cast<std::size_t>(spec.norm_group == "full" ? d_ssm : d_ssm / G);
    if (spec.gated_norm == "before") y = norm(y, get(p + "norm.weight"), spec.norm_eps, group);
    for (int64_t i = 0; i < d_ssm; ++i) y[i] *= silu(z[i]);
    if (spec.gated_norm == "after") y = norm(y, get(p + "norm.weight"), spec.norm_eps, group);
    Row joined(static_cast<std::size_t>(mlp));
    for (int64_t i = 0; i < mlp; ++i) joined[i] = silu(proj[i]) * proj[mlp + i];
    joined.insert(joined.end(), y.begin(), y.end());
    return joined;
  }

  const RandomModel& source_;
};

/// The option sets that tests go through.
inline std::vector<std::vector<std::string>> option_sets() {
  return {{},
          {"mamba2.n_groups=2", "mamba2.bias=true", "mamba2.conv_bias=false"},
          {"mamba2.n_groups=4", "mamba2.norm_group=full", "tie_embeddings=false"},
          {"mamba2.gated_norm=before", "mamba2.n_groups=2", "mamba2.norm_eps=0.1"},
          {"mamba2.gated_norm=none", "mamba2.d_ssm=24", "mamba2.D_has_head_dim=true"},
          {"mamba2.d_ssm=16", "mamba2.learnable_init_states=true", "norm_eps=0.01"},
          {"mamba2.dt_limit_min=0.4", "mamba2.dt_limit_max=0.9", "mamba2.d_conv=2"},
          {"mamba2.d_conv=1", "mamba2.chunk_size=7", "mamba2.head_dim=32", "n_layer=3"}};
}

}  // namespace adder::infer::testing_support
