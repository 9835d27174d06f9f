// The five forms of YS-71M's layer as plain loops in double (model/word_ssm_spec.h).
#pragma once

#include "adder/infer/test_random_model.h"
#include "adder/model/word_ssm_spec.h"

namespace adder::infer::testing_support {

class NaiveWordSsm {
 public:
  /// `prefix`: of the mixer's tensors.
  NaiveWordSsm(const RandomModel& source, std::string prefix)
      : source_(source),
        prefix_(std::move(prefix)),
        spec_(static_cast<const model::WordSsmSpec&>(source.config.mixers.at("word_ssm"))),
        E(source.config.d_model),
        S(spec_.d_state > 0 ? spec_.d_state : E) {}

  Rows mix(const Rows& input) const {
    if (spec_.form == "A") return form_A(input);
    if (spec_.form == "B") return form_B(input);
    if (spec_.form == "C") return form_C(input);
    if (spec_.form == "D") return form_D(input);
    return form_E(input);
  }

 private:
  Row get(const char* name) const { return source_.get(prefix_ + name); }
  Row linear(const Row& x, const char* name) const { return source_.linear(x, prefix_ + name); }

  Row layer_norm(const Row& x) const {
    const Row weight = get("norm.weight"), bias = get("norm.bias");
    double mean = 0, variance = 0;
    for (const double value : x) mean += value / static_cast<double>(x.size());
    for (const double value : x) {
      variance += (value - mean) * (value - mean) / static_cast<double>(x.size());
    }
    Row y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      y[i] = (x[i] - mean) / std::sqrt(variance + spec_.norm_eps) * weight[i] + bias[i];
    }
    return y;
  }

  Rows form_A(const Rows& input) const {
    Rows out;
    Row h(static_cast<std::size_t>(S * E));
    for (const Row& x : input) {
      const Row q = linear(x, "q_proj"), k = linear(x, "k_proj"), v = linear(x, "v_proj");
      Row read(h.size());
      for (int64_t n = 0; n < S; ++n) {
        const double steps = static_cast<double>(n) / static_cast<double>(S - 1);
        const double a = spec_.decay == "real"
                             ? std::exp(-static_cast<double>(n + 1) / spec_.memory)
                             : 1 - 1 / std::pow(spec_.memory, steps);
        for (int64_t i = 0; i < E; ++i) {
          h[n * E + i] = a * h[n * E + i] + k[n] * v[i];
          read[n * E + i] = q[n] * h[n * E + i];
        }
      }
      out.push_back(linear(read, "out_proj"));
    }
    return out;
  }

  Rows form_B(const Rows& input) const {
    const Row A = get("A"), B = get("B"), C = get("C"), D = get("D");
    Rows out;
    Row h(static_cast<std::size_t>(E * S));
    for (const Row& x : input) {
      Row y(x.size()), next(h.size());
      for (int64_t i = 0; i < E; ++i) {
        y[i] = D[i] * x[i];
        for (int64_t n = 0; n < S; ++n) {
          next[i * S + n] = B[i * S + n] * x[i];
          for (int64_t m = 0; m < S; ++m) next[i * S + n] += A[(i * S + n) * S + m] * h[i * S + m];
          y[i] += C[i * S + n] * next[i * S + n];
        }
      }
      h = next;
      out.push_back(linear(layer_norm(y), "out_proj"));
    }
    return out;
  }

  Rows form_C(const Rows& input) const {
    const Row A = get("A"), D = get("D");
    Rows out;
    Row h(static_cast<std::size_t>(S * E));
    for (const Row& x : input) {
      const Row b = linear(x, "B_proj"), c = linear(x, "C_proj");
      Row next(h.size()), read(h.size());
      for (int64_t n = 0; n < S; ++n) {
        for (int64_t i = 0; i < E; ++i) {
          next[n * E + i] = b[n] * x[i];
          for (int64_t m = 0; m < S; ++m) next[n * E + i] += A[n * S + m] * h[m * E + i];
          read[n * E + i] = c[n] * next[n * E + i];
        }
      }
      h = next;
      Row z = linear(read, "out_proj");
      for (int64_t i = 0; i < E; ++i) z[i] += D[i] * x[i];
      out.push_back(z);
    }
    return out;
  }

  Rows form_D(const Rows& input) const {
    Rows out;
    Row h(static_cast<std::size_t>(S));
    for (const Row& x : input) {
      const Row A = linear(x, "A_proj");
      Row next = linear(x, "in_proj");
      for (int64_t n = 0; n < S; ++n) {
        double sum = 0;
        for (int64_t m = 0; m < S; ++m) sum += std::abs(A[n * S + m]);
        for (int64_t m = 0; m < S; ++m) next[n] += A[n * S + m] / std::max(1.0, sum) * h[m];
      }
      h = next;
      out.push_back(linear(layer_norm(h), "out_proj"));
    }
    return out;
  }

  Rows form_E(const Rows& input) const {
    const Row weight = get("bilinear.weight");
    Rows out;
    Row h(static_cast<std::size_t>(S));
    for (const Row& x : input) {
      const Row v = linear(x, "v_proj"), g = linear(x, "g_proj"), q = linear(x, "q_proj");
      for (int64_t n = 0; n < S; ++n) {
        const double s = 1 / (1 + std::exp(-g[n]));
        h[n] = s * h[n] + (1 - s) * v[n];
      }
      Row z = get("bilinear.bias");
      for (std::size_t o = 0; o < z.size(); ++o) {
        for (int64_t i = 0; i < S; ++i) {
          for (int64_t j = 0; j < S; ++j) z[o] += weight[(o * S + i) * S + j] * h[i] * q[j];
        }
      }
      out.push_back(z);
    }
    return out;
  }

  const RandomModel& source_;
  std::string prefix_;
  const model::WordSsmSpec& spec_;
  int64_t E, S;  // d_model, d_state
};

}  // namespace adder::infer::testing_support
