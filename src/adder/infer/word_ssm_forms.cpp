#include "adder/infer/word_ssm_forms.h"

#include <cmath>

#include "adder/infer/word_ssm_base.h"

namespace adder::infer {
namespace {

constexpr int64_t kGrain = 16;  // rows of a matrix worth giving to a thread

float dot(const float* a, const float* b, int64_t count) {
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

class LayerNorm {
 public:
  LayerNorm(const model::Weights& weights, const std::string& name, double eps)
      : weight_(weights.at(name + ".weight")), bias_(weights.at(name + ".bias")), eps_(eps) {}

  /// (count, width), in place.
  void run(float* x, int64_t count, int64_t width) const {
    const auto size = static_cast<double>(width);
    for (float* row = x; row < x + count * width; row += width) {
      double mean = 0, variance = 0;
      for (int64_t i = 0; i < width; ++i) mean += row[i] / size;
      for (int64_t i = 0; i < width; ++i) variance += (row[i] - mean) * (row[i] - mean) / size;
      const double scale = 1 / std::sqrt(variance + eps_);
      for (int64_t i = 0; i < width; ++i) {
        row[i] = static_cast<float>((row[i] - mean) * scale) * weight_.data()[i] + bias_.data()[i];
      }
    }
  }

 private:
  SmallTensor weight_, bias_;
  double eps_;
};

class WordSsmB final : public WordSsm {
 public:
  WordSsmB(const model::ModelConfig& config, int64_t layer, const model::Weights& weights)
      : WordSsmB(config, layer, weights, model::mixer_prefix(layer)) {}

 private:
  WordSsmB(const model::ModelConfig& config, int64_t layer, const model::Weights& weights,
           const std::string& prefix)
      : WordSsm(config, layer),
        A_(weights.at(prefix + "A")),
        B_(weights.at(prefix + "B")),
        C_(weights.at(prefix + "C")),
        D_(weights.at(prefix + "D")),
        norm_(weights, prefix + "norm", spec_.norm_eps),
        out_proj_(weights, prefix + "out_proj") {}

  void run(const Pass& pass) const override {
    float* y = pass.arena.take(pass.count * width_);
    float* next = pass.arena.take(width_ * states_);
    pass.parallel.run(width_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t channel = begin; channel < end; ++channel) {
        walk(pass, channel, next + channel * states_, y);
      }
    });
    norm_.run(y, pass.count, width_);
    out_proj_.run(rows(y, pass.count, width_), rows(pass.y, pass.count, outputs_), pass.parallel);
  }

  /// One channel through all tokens; `next`: room for a state of it.
  void walk(const Pass& pass, int64_t channel, float* next, float* y) const {
    const int64_t S = states_;
    const kernels::View<2> A = rows(A_.data() + channel * S * S, S, S);
    const float *B = B_.data() + channel * S, *C = C_.data() + channel * S;
    for (int64_t t = 0; t < pass.count; ++t) {
      float* h = state(pass, t) + channel * S;
      const float x = pass.x[t * width_ + channel];
      kernels::linear(rows(h, 1, S), A, {}, rows(next, 1, S), Serial());
      for (int64_t n = 0; n < S; ++n) h[n] = next[n] + B[n] * x;
      y[t * width_ + channel] = dot(C, h, S) + D_.data()[channel] * x;
    }
  }

  SmallTensor A_, B_, C_, D_;  // (d_model, d_state, d_state), (d_model, d_state) twice, (d_model)
  LayerNorm norm_;
  Linear out_proj_;
};

class WordSsmC final : public WordSsm {
 public:
  WordSsmC(const model::ModelConfig& config, int64_t layer, const model::Weights& weights)
      : WordSsm(config, layer),
        A_(weights.at(model::mixer_prefix(layer) + "A")),
        D_(weights.at(model::mixer_prefix(layer) + "D")),
        B_proj_(weights, model::mixer_prefix(layer) + "B_proj"),
        C_proj_(weights, model::mixer_prefix(layer) + "C_proj"),
        out_proj_(weights, model::mixer_prefix(layer) + "out_proj") {}

 private:
  void run(const Pass& pass) const override {
    const int64_t size = states_ * width_, most = at_once(pass.count, size);
    const float *B = project(pass, B_proj_), *C = project(pass, C_proj_);
    float *reads = pass.arena.take(most * size), *next = pass.arena.take(size);
    for (int64_t first = 0; first < pass.count; first += most) {
      const int64_t some = std::min(most, pass.count - first);
      pass.parallel.run(width_, kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t t = first; t < first + some; ++t) {
          const Token token{B + t * states_, C + t * states_, pass.x + t * width_, state(pass, t)};
          walk(token, begin, end, next, reads + (t - first) * size);
        }
      });
      out_proj_.run(rows(reads, some, size), rows(pass.y + first * outputs_, some, outputs_),
                    pass.parallel);
    }
    for (int64_t i = 0; i < pass.count * width_; ++i) {
      pass.y[i] += D_.data()[i % width_] * pass.x[i];
    }
  }

  struct Token {
    const float *B, *C, *x;
    float* h;  // (d_state, d_model)
  };

  /// The columns [begin, end) of the state past one token, which know nothing of the others; of
  /// `next`, room for a state, no other column is touched.
  void walk(const Token& token, int64_t begin, int64_t end, float* next, float* reads) const {
    for (int64_t n = 0; n < states_; ++n) {
      float* row = next + n * width_;
      for (int64_t i = begin; i < end; ++i) row[i] = token.B[n] * token.x[i];
      for (int64_t m = 0; m < states_; ++m) {
        const float a = A_.data()[n * states_ + m];
        for (int64_t i = begin; i < end; ++i) row[i] += a * token.h[m * width_ + i];
      }
    }
    for (int64_t n = 0; n < states_; ++n) {
      for (int64_t i = n * width_ + begin; i < n * width_ + end; ++i) {
        token.h[i] = next[i];
        reads[i] = token.C[n] * next[i];
      }
    }
  }

  SmallTensor A_, D_;  // (d_state, d_state), (d_model)
  Linear B_proj_, C_proj_, out_proj_;
};

class WordSsmD final : public WordSsm {
 public:
  WordSsmD(const model::ModelConfig& config, int64_t layer, const model::Weights& weights)
      : WordSsm(config, layer),
        A_proj_(weights, model::mixer_prefix(layer) + "A_proj"),
        in_proj_(weights, model::mixer_prefix(layer) + "in_proj"),
        norm_(weights, model::mixer_prefix(layer) + "norm", spec_.norm_eps),
        out_proj_(weights, model::mixer_prefix(layer) + "out_proj") {}

 private:
  void run(const Pass& pass) const override {
    const int64_t S = states_, most = at_once(pass.count, S * S);
    float* u = project(pass, in_proj_);  // (count, d_state), then the states after each token
    float* A = pass.arena.take(most * S * S);
    for (int64_t first = 0; first < pass.count; first += most) {
      const int64_t some = std::min(most, pass.count - first);
      A_proj_.run(rows(pass.x + first * width_, some, width_), rows(A, some, S * S), pass.parallel);
      for_tokens(pass, first, some, [&](int64_t t, const Parallel& threads) {
        advance(A + (t - first) * S * S, state(pass, t), u + t * S, threads);
      });
    }
    norm_.run(u, pass.count, S);
    out_proj_.run(rows(u, pass.count, S), rows(pass.y, pass.count, outputs_), pass.parallel);
  }

  /// u <- A h + u with A's rows divided by their sums, h <- u
  void advance(const float* A, float* h, float* u, const Parallel& parallel) const {
    parallel.run(states_, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const float* row = A + n * states_;
        float sum = 0;
        for (int64_t m = 0; m < states_; ++m) sum += std::abs(row[m]);
        u[n] += dot(row, h, states_) / std::max(sum, 1.0f);
      }
    });
    std::copy_n(u, states_, h);
  }

  Linear A_proj_, in_proj_;
  LayerNorm norm_;
  Linear out_proj_;
};

class WordSsmE final : public WordSsm {
 public:
  WordSsmE(const model::ModelConfig& config, int64_t layer, const model::Weights& weights)
      : WordSsm(config, layer),
        v_proj_(weights, model::mixer_prefix(layer) + "v_proj"),
        g_proj_(weights, model::mixer_prefix(layer) + "g_proj"),
        q_proj_(weights, model::mixer_prefix(layer) + "q_proj"),
        weight_(weights.at(model::mixer_prefix(layer) + "bilinear.weight")),
        bias_(weights.at(model::mixer_prefix(layer) + "bilinear.bias")) {}

 private:
  void run(const Pass& pass) const override {
    const int64_t S = states_;
    float* v = project(pass, v_proj_);  // then the states after each token
    const float *g = project(pass, g_proj_), *q = project(pass, q_proj_);
    for (int64_t t = 0; t < pass.count; ++t) {
      float* h = state(pass, t);
      for (int64_t n = 0; n < S; ++n) {
        const float gate = 1 / (1 + std::exp(-g[t * S + n]));
        v[t * S + n] = h[n] = gate * h[n] + (1 - gate) * v[t * S + n];
      }
    }
    const auto fill = [&](int64_t first, int64_t some, float* products) {  // h q^T
      pass.parallel.run(pass.count, kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) {
          for (int64_t n = 0; n < some; ++n) {
            float* row = products + (t * some + n) * S;
            for (int64_t j = 0; j < S; ++j) row[j] = v[t * S + first + n] * q[t * S + j];
          }
        }
      });
    };
    read_out(kernels::dense<2>(weight_.data, weight_.dtype, {outputs_, S * S}),
             vector(bias_, outputs_), S, rows(pass.y, pass.count, outputs_), pass.arena,
             pass.parallel, fill);
  }

  Linear v_proj_, g_proj_, q_proj_;
  model::TensorView weight_;  // (d_out, d_state, d_state)
  SmallTensor bias_;
};

}  // namespace

std::unique_ptr<Mixer> make_word_ssm_form(const model::ModelConfig& config, int64_t layer,
                                          const model::Weights& weights) {
  const auto& spec = static_cast<const model::WordSsmSpec&>(config.mixer(layer));
  if (spec.form == "B") return std::make_unique<WordSsmB>(config, layer, weights);
  if (spec.form == "C") return std::make_unique<WordSsmC>(config, layer, weights);
  if (spec.form == "D") return std::make_unique<WordSsmD>(config, layer, weights);
  return std::make_unique<WordSsmE>(config, layer, weights);
}

}  // namespace adder::infer
