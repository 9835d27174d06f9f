// Softmax attention as plain loops in double (mamba-core 2.5).
#pragma once

#include "adder/infer/test_random_model.h"
#include "adder/model/softmax_spec.h"

namespace adder::infer::testing_support {

class NaiveSoftmax {
 public:
  /// `prefix`: of the mixer's tensors.
  NaiveSoftmax(const RandomModel& source, std::string prefix)
      : source_(source),
        prefix_(std::move(prefix)),
        spec_(static_cast<const model::SoftmaxSpec&>(source.config.mixers.at("softmax"))),
        heads_(spec_.n_heads > 0 ? spec_.n_heads : source.config.d_model / spec_.head_dim),
        kv_heads_(spec_.n_kv_heads > 0 ? spec_.n_kv_heads : heads_) {}

  Rows mix(const Rows& input) const {
    const int64_t P = spec_.head_dim, q_size = heads_ * P, kv_size = kv_heads_ * P;
    Rows projected, qkv, out;
    for (const Row& x : input) {
      projected.push_back(product(x, "in_proj"));
      qkv.push_back(convolved(projected));
      const auto position = static_cast<double>(qkv.size() - 1);
      for (int64_t h = 0; h < heads_ + kv_heads_; ++h) turn(qkv.back().data() + h * P, position);
    }
    for (std::size_t t = 0; t < input.size(); ++t) {
      Row y;
      for (int64_t h = 0; h < heads_; ++h) {
        const int64_t g = h / (heads_ / kv_heads_);
        const Row head = attend(qkv, t, h * P, q_size + g * P, q_size + kv_size + g * P);
        y.insert(y.end(), head.begin(), head.end());
      }
      const double* up = projected[t].data() + q_size + 2 * kv_size;
      for (int64_t i = 0; i < spec_.d_mlp; ++i) {
        const double gate = up[spec_.d_mlp + i];
        y.push_back(up[i] * gate / (1 + std::exp(-gate)));
      }
      out.push_back(product(y, "out_proj"));
    }
    return out;
  }

 private:
  Row get(const std::string& name) const {
    const auto found = source_.storage.find(prefix_ + name);
    if (found == source_.storage.end()) return {};
    return Row(found->second.begin(), found->second.end());
  }
  Row product(const Row& x, const std::string& name) const {
    const Row w = get(name + ".weight");
    Row y = get(name + ".bias");
    y.resize(w.size() / x.size());
    for (std::size_t o = 0; o < y.size(); ++o) {
      for (std::size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
    }
    return y;
  }
  /// q, k and v of the last row.
  Row convolved(const Rows& rows) const {
    const int64_t width = (heads_ + 2 * kv_heads_) * spec_.head_dim, W = spec_.d_conv;
    Row y(rows.back().begin(), rows.back().begin() + width);
    if (W == 0) return y;
    const Row weight = get("conv1d.weight"), bias = get("conv1d.bias");
    const auto t = static_cast<int64_t>(rows.size()) - 1;
    for (int64_t c = 0; c < width; ++c) {
      y[c] = bias[c];
      for (int64_t back = 0; back < W && back <= t; ++back) {
        y[c] += weight[c * W + W - 1 - back] * rows[t - back][c];
      }
    }
    return y;
  }
  void turn(double* x, double position) const {
    const int64_t dim = spec_.rotary_dim < 0 ? spec_.head_dim : spec_.rotary_dim;
    for (int64_t i = 0; i < dim / 2; ++i) {
      const double angle = position / std::pow(spec_.rotary_base, 2.0 * i / dim);
      double& a = spec_.rotary_interleaved ? x[2 * i] : x[i];
      double& b = spec_.rotary_interleaved ? x[2 * i + 1] : x[i + dim / 2];
      const double before = a;
      a = before * std::cos(angle) - b * std::sin(angle);
      b = before * std::sin(angle) + b * std::cos(angle);
    }
  }
  Row attend(const Rows& qkv, std::size_t t, int64_t q, int64_t k, int64_t v) const {
    const int64_t P = spec_.head_dim;
    const double scale = spec_.scale > 0 ? spec_.scale : 1 / std::sqrt(static_cast<double>(P));
    Row y(static_cast<std::size_t>(P));
    double total = 0;
    for (std::size_t s = 0; s <= t; ++s) {
      if (spec_.window > 0 && static_cast<int64_t>(t - s) >= spec_.window) continue;
      double dot = 0;
      for (int64_t i = 0; i < P; ++i) dot += qkv[t][q + i] * qkv[s][k + i];
      const double weight = std::exp(scale * dot);
      total += weight;
      for (int64_t i = 0; i < P; ++i) y[i] += weight * qkv[s][v + i];
    }
    for (double& value : y) value /= total;
    return y;
  }

  const RandomModel& source_;
  std::string prefix_;
  const model::SoftmaxSpec& spec_;
  int64_t heads_, kv_heads_;
};

}  // namespace adder::infer::testing_support
