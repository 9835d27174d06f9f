// For the tests of this room: models with random weights, and the same models as plain loops in
// double (mamba-core 2.5), independent of the kernels. Each mixer's loops stand in a file of their
// own.
#pragma once

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "adder/base/rng.h"
#include "adder/infer/test_mamba1.h"
#include "adder/infer/test_mamba2.h"
#include "adder/infer/test_random_model.h"
#include "adder/infer/test_softmax.h"
#include "adder/infer/test_word_ssm.h"

namespace adder::infer::testing_support {

inline model::ModelConfig small_config() {
  model::ModelConfig config;
  config.vocab_size = 29;
  config.d_model = 16;
  config.n_layer = 2;
  auto& mamba2 = static_cast<model::Mamba2Spec&>(config.mixers.at("mamba2"));
  mamba2.head_dim = 8;
  mamba2.d_state = 12;
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

inline std::vector<int32_t> random_ids(int64_t count, int64_t vocab, uint64_t seed = 1) {
  Rng rng(seed);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(rng.below(vocab)));
  return ids;
}

inline Row naive_mlp(const RandomModel& source, const Row& x, const std::string& p) {
  const Row inner = source.linear(x, p + "fc1");
  const bool gated = source.config.mlp.kind == "swiglu";
  Row hidden(gated ? inner.size() / 2 : inner.size());
  for (std::size_t i = 0; i < hidden.size(); ++i) {
    const double a = inner[i];
    hidden[i] = gated ? a * silu(inner[hidden.size() + i])
                      : a / 2 * (1 + std::erf(a / std::numbers::sqrt2));
  }
  return source.linear(hidden, p + "fc2");
}

/// The whole model: blocks that add to a stream or replace it (mamba-core 2.5), then the head.
class NaiveModel {
 public:
  explicit NaiveModel(const RandomModel& source) : source_(source) {}

  /// Logits after each token.
  Rows logits(const std::vector<int32_t>& ids) const {
    const auto& config = source_.config;
    Rows stream;
    for (const int32_t id : ids) {
      stream.push_back(source_.row("backbone.embeddings.weight", id, config.d_model));
    }
    for (int64_t layer = 0; layer < config.n_layer; ++layer) {
      const std::string prefix = model::layer_prefix(layer);
      give(stream, mixer(layer, normed(stream, prefix + "norm.weight")));
      if (!config.mlp.given()) continue;
      Rows added;
      for (const Row& r : normed(stream, prefix + "norm2.weight")) {
        added.push_back(naive_mlp(source_, r, prefix + "mlp."));
      }
      give(stream, added);
    }
    Rows out;
    for (const Row& r : normed(stream, "backbone.norm_f.weight")) {
      out.push_back(source_.linear(r, config.tie_embeddings ? "backbone.embeddings" : "lm_head"));
    }
    if (config.head_bias && config.tie_embeddings) {
      add(out, Rows(out.size(), source_.get("lm_head.bias")));
    }
    return out;
  }

 private:
  Rows normed(const Rows& stream, const std::string& weight) const {
    if (!source_.has(weight)) return stream;
    Rows out;
    for (const Row& r : stream)
      out.push_back(norm(r, source_.get(weight), source_.config.norm_eps));
    return out;
  }
  void give(Rows& stream, const Rows& made) const {
    if (source_.config.residual) return add(stream, made);
    stream = made;
  }
  static void add(Rows& stream, const Rows& added) {
    for (std::size_t t = 0; t < stream.size(); ++t) {
      for (std::size_t i = 0; i < stream[t].size(); ++i) stream[t][i] += added[t][i];
    }
  }
  Rows mixer(int64_t layer, const Rows& input) const {
    const std::string prefix = model::mixer_prefix(layer);
    const std::string_view kind = source_.config.mixer(layer).kind();
    if (kind == "mamba1") return naive_mamba1(source_, input, prefix);
    if (kind == "softmax") return NaiveSoftmax(source_, prefix).mix(input);
    if (kind == "word_ssm") return NaiveWordSsm(source_, prefix).mix(input);
    return naive_mamba2(source_, input, prefix);
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
          {"mamba2.d_conv=1", "mamba2.chunk_size=7", "mamba2.head_dim=32", "n_layer=3"},
          {"layers=mamba1", "mlp.kind=gelu", "mlp.bias=true"},
          {"layers=mamba1", "mamba1.bias=true", "mamba1.conv_bias=false", "mamba1.d_state=5"},
          {"layers=mamba1", "mamba1.norm_BCdt=true", "mamba1.dt_rank=3", "mamba1.d_conv=2"},
          {"layers=mamba1,mamba2", "n_layer=3", "mlp.kind=swiglu", "mlp.d_hidden=20"},
          {"norm=none", "head_bias=true"},
          {"layers=mamba1", "residual=false", "mlp.kind=gelu", "head_bias=true",
           "tie_embeddings=false"},
          {"layers=softmax", "softmax.head_dim=8", "softmax.window=11", "mlp.kind=swiglu"},
          {"layers=mamba2,softmax", "softmax.head_dim=8", "softmax.n_kv_heads=1",
           "softmax.d_conv=3", "softmax.d_mlp=10"},
          {"layers=word_ssm", "n_layer=1", "norm=none", "residual=false", "tie_embeddings=false",
           "head_bias=true", "word_ssm.d_state=10", "word_ssm.d_out=7"},
          {"layers=word_ssm,mamba1", "word_ssm.decay=real", "word_ssm.memory=20"},
          {"layers=word_ssm", "word_ssm.form=B", "word_ssm.d_state=5", "word_ssm.norm_eps=0.1"},
          {"layers=word_ssm", "word_ssm.form=B", "word_ssm.hippo=inv", "word_ssm.dt_min=0.01",
           "n_layer=1", "norm=none", "residual=false", "tie_embeddings=false", "word_ssm.d_out=7"},
          {"layers=word_ssm", "word_ssm.form=C", "word_ssm.d_state=6", "word_ssm.hippo=fourier",
           "word_ssm.dt_max=0.4"},
          {"layers=word_ssm", "word_ssm.form=D", "word_ssm.d_state=5", "word_ssm.norm_eps=0.1"},
          {"layers=word_ssm", "word_ssm.form=E", "word_ssm.d_state=5", "n_layer=1", "norm=none",
           "residual=false", "tie_embeddings=false", "word_ssm.d_out=7"}};
}

}  // namespace adder::infer::testing_support
