// A model with random weights, and plain arithmetic in double on them: what the oracles of this
// room's tests are made of.
#pragma once

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "adder/base/rng.h"
#include "adder/model/directory.h"

namespace adder::infer::testing_support {

using Row = std::vector<double>;
using Rows = std::vector<Row>;  // [time][channel]

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
      if (spec.frozen) initialise(spec, seed, values.data());  // a constant is what it is
      weights[spec.name] = {values.data(), DType::f32, spec.shape};
    }
  }

  bool has(const std::string& name) const { return storage.contains(name); }
  Row get(const std::string& name) const {
    const auto& values = storage.at(name);
    return Row(values.begin(), values.end());
  }
  Row row(const std::string& name, int64_t index, int64_t width) const {
    const Row all = get(name);
    return Row(all.begin() + index * width, all.begin() + (index + 1) * width);
  }
  /// NAME.weight x + NAME.bias, the latter where there is one.
  Row linear(const Row& x, const std::string& name) const {
    const Row w = get(name + ".weight");
    Row y = has(name + ".bias") ? get(name + ".bias") : Row(w.size() / x.size(), 0.0);
    for (std::size_t o = 0; o < y.size(); ++o) {
      for (std::size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
    }
    return y;
  }
  /// A causal depthwise convolution over time: NAME.weight (channels, 1, taps).
  Rows convolution(const Rows& x, const std::string& name) const {
    const Row w = get(name + ".weight");
    const std::size_t channels = x[0].size(), taps = w.size() / channels;
    const Row bias = has(name + ".bias") ? get(name + ".bias") : Row(channels, 0.0);
    Rows y;
    for (std::size_t t = 0; t < x.size(); ++t) {
      y.push_back(bias);
      for (std::size_t back = 0; back < taps && back <= t; ++back) {
        for (std::size_t c = 0; c < channels; ++c) {
          y[t][c] += w[c * taps + taps - 1 - back] * x[t - back][c];
        }
      }
    }
    return y;
  }

  model::ModelConfig config;
  std::map<std::string, std::vector<float>> storage;
  model::Weights weights;
};

inline double silu(double x) {
  return x / (1 + std::exp(-x));
}

/// RMS norm in groups of `group` channels (0: all together); an empty weight is all ones.
inline Row norm(const Row& x, const Row& weight, double eps, std::size_t group = 0) {
  if (group == 0) group = x.size();
  Row y(x.size());
  for (std::size_t begin = 0; begin < x.size(); begin += group) {
    double square = 0;
    for (std::size_t i = begin; i < begin + group; ++i) square += x[i] * x[i];
    const double scale = 1 / std::sqrt(square / static_cast<double>(group) + eps);
    for (std::size_t i = begin; i < begin + group; ++i) {
      y[i] = (weight.empty() ? 1 : weight[i]) * x[i] * scale;
    }
  }
  return y;
}

}  // namespace adder::infer::testing_support
