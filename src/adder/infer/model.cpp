#include "adder/infer/model.h"

#include <algorithm>

#include "adder/base/error.h"
#include "adder/infer/mixer.h"
#include "adder/infer/mlp.h"
#include "adder/infer/small_tensor.h"
#include "adder/infer/views.h"
#include "adder/kernels/linear.h"
#include "adder/kernels/rms_norm.h"
#include "adder/model/convert.h"
#include "adder/model/tensor_names.h"

namespace adder::infer {
namespace {

using kernels::dense;

constexpr int64_t kTile = 512;                 // tokens that pass the stack together
constexpr int64_t kLogits = int64_t{1} << 22;  // floats of logits that exist together, at most

[[noreturn]] void wrong_size(const char* what, std::size_t got, int64_t want) {
  throw Error(ErrorKind::kShape, {.what = std::string(what) + " has " + std::to_string(got) +
                                          " elements, not " + std::to_string(want)});
}

}  // namespace

struct Model::Impl {
  Impl(const model::ModelConfig& config, const model::Weights& weights, const Parallel& parallel)
      : config(config), weights(weights), parallel(parallel) {
    config.check();
    model::check_weights(config, weights, "the model's weights");
    for (int64_t layer = 0; layer < config.n_layer; ++layer) {
      const std::string prefix = model::layer_prefix(layer);
      norms.push_back(SmallTensor::find(weights, prefix + "norm.weight"));
      mixers.push_back(make_mixer(config, layer, weights));
      if (!config.mlp.given()) continue;
      mlp_norms.push_back(SmallTensor::find(weights, prefix + "norm2.weight"));
      mlps.emplace_back(config.mlp, weights, prefix + "mlp.");
    }
    final_norm = SmallTensor::find(weights, model::kFinalNorm);
    embedding = weights.at(model::kEmbedding);
    head = config.tie_embeddings ? embedding : weights.at(model::kHead);
    head_bias = SmallTensor::find(weights, model::kHeadBias);
    start = State(config);
    for (const auto& mixer : mixers) mixer->start(start);
  }

  void embed(std::span<const int32_t> tokens, float* out) const {
    const int64_t width = config.d_model;
    for (std::size_t row = 0; row < tokens.size(); ++row) {
      if (tokens[row] < 0 || tokens[row] >= config.vocab_size) {
        throw Error(ErrorKind::kUsage,
                    {.what = "token " + std::to_string(tokens[row]) +
                             " is outside the vocabulary of " + std::to_string(config.vocab_size)});
      }
      for (int64_t i = 0; i < width; ++i) {
        out[static_cast<int64_t>(row) * width + i] =
            model::element(embedding, tokens[row] * width + i);
      }
    }
  }

  /// Some rows on their way through the stack, f32 whatever the type of the weights (mamba-core
  /// 2.5). Arrays of (rows, d_model), or (rows, d_readout) where that is more.
  struct Stream {
    int64_t count;
    float* added;     // what the last branch gave
    float* normed;    // the norm of the sum: what the next branch reads
    float* residual;  // the sum before it
    float* next;
    bool empty = true;  // there is no sum before the first branch
  };

  /// Adds what the last branch gave to the stream, or puts it in its place, and norms the sum.
  void add_and_norm(Stream& s, const SmallTensor& weight) const {
    const int64_t width = config.d_model;
    if (!config.normed()) return add(s);
    kernels::RmsNormInputs in;
    in.x = rows(s.added, s.count, width);
    in.weight = dense<1>(weight.view_data(), DType::f32, {width});
    if (!s.empty && config.residual) in.residual = rows(s.residual, s.count, width);
    in.eps = config.norm_eps;
    kernels::rms_norm(in, {rows(s.normed, s.count, width), rows(s.next, s.count, width)}, parallel);
    std::swap(s.residual, s.next);
    s.empty = false;
  }

  /// The same without a norm.
  void add(Stream& s) const {
    std::swap(s.added, s.normed);
    if (!config.residual) return;
    const int64_t size = s.count * config.d_model;
    for (int64_t i = 0; i < size && !s.empty; ++i) s.normed[i] += s.residual[i];
    std::copy_n(s.normed, size, s.residual);
    s.empty = false;
  }

  /// The stack: hidden states after the final norm, (tokens, d_readout), in `arena`. `mix(layer, x,
  /// y)` runs a mixer over all rows.
  template <typename Mix>
  float* run(std::span<const int32_t> tokens, Mix&& mix) {
    const auto count = static_cast<int64_t>(tokens.size());
    const int64_t size = count * std::max(config.d_model, config.d_readout());
    Stream s{count, arena.take(size), arena.take(size), arena.take(size), arena.take(size)};
    embed(tokens, s.added);
    for (int64_t layer = 0; layer < config.n_layer; ++layer) {
      const auto i = static_cast<std::size_t>(layer);
      const Arena::Scope scope(arena);
      add_and_norm(s, norms[i]);
      mix(layer, s.normed, s.added);
      if (mlps.empty()) continue;
      add_and_norm(s, mlp_norms[i]);
      mlps[i].run(s.normed, count, s.added, arena, parallel);
    }
    add_and_norm(s, final_norm);
    return s.normed;
  }

  void project(const float* hidden, int64_t count, float* logits) const {
    const int64_t width = config.d_readout(), vocab = config.vocab_size;
    kernels::linear(rows(hidden, count, width), dense<2>(head.data, head.dtype, {vocab, width}),
                    vector(head_bias, vocab), rows(logits, count, vocab), parallel);
  }

  /// Runs `tokens` tile by tile; `take(first, count, hidden)` gets each tile's hidden states.
  template <typename Take>
  void tiles(std::span<const int32_t> tokens, State& state, Take&& take) {
    for (std::size_t first = 0; first < tokens.size(); first += kTile) {
      const auto tile = tokens.subspan(first, std::min<std::size_t>(kTile, tokens.size() - first));
      const auto count = static_cast<int64_t>(tile.size());
      const Arena::Scope scope(arena);
      const float* hidden = run(tile, [&](int64_t layer, const float* x, float* y) {
        mixers[static_cast<std::size_t>(layer)]->prefill(x, count, state, y, arena, parallel);
      });
      state.tokens += count;
      take(static_cast<int64_t>(first), count, hidden);
    }
  }

  model::ModelConfig config;
  model::Weights weights;
  const Parallel& parallel;
  std::vector<SmallTensor> norms, mlp_norms;  // one for each layer, empty without norms
  std::vector<std::unique_ptr<Mixer>> mixers;
  std::vector<Mlp> mlps;
  SmallTensor final_norm, head_bias;  // empty: none
  model::TensorView embedding, head;
  State start;
  Arena arena;
};

Model::Model(const model::ModelConfig& config, const model::Weights& weights,
             const Parallel& parallel)
    : impl_(std::make_unique<Impl>(config, weights, parallel)) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;

const model::ModelConfig& Model::config() const {
  return impl_->config;
}
const model::Weights& Model::weights() const {
  return impl_->weights;
}
const Parallel& Model::parallel() const {
  return impl_->parallel;
}
int64_t Model::vocab_size() const {
  return impl_->config.vocab_size;
}

State Model::new_state() const {
  return impl_->start;
}

void Model::check_state(const State& state) const {
  if (state.same_layout(impl_->start)) return;
  throw Error(ErrorKind::kShape, {.what = "this state belongs to another model"});
}

void Model::prefill(std::span<const int32_t> tokens, State& state, std::span<float> logits) {
  check_state(state);
  if (tokens.empty()) wrong_size("the text to read", 0, 1);
  if (static_cast<int64_t>(logits.size()) != vocab_size()) {
    wrong_size("the array of logits", logits.size(), vocab_size());
  }
  const auto total = static_cast<int64_t>(tokens.size());
  impl_->tiles(tokens, state, [&](int64_t first, int64_t count, const float* hidden) {
    if (first + count < total) return;
    impl_->project(hidden + (count - 1) * config().d_readout(), 1, logits.data());
  });
}

void Model::prefill_each(std::span<const int32_t> tokens, State& state, const TakeLogits& take) {
  check_state(state);
  const int64_t vocab = vocab_size();
  const int64_t at_once = std::clamp<int64_t>(kLogits / vocab, 1, kTile);
  impl_->tiles(tokens, state, [&](int64_t first, int64_t count, const float* hidden) {
    float* logits = impl_->arena.take(std::min(at_once, count) * vocab);
    for (int64_t row = 0; row < count; row += at_once) {
      const int64_t some = std::min(at_once, count - row);
      impl_->project(hidden + row * config().d_readout(), some, logits);
      take(first + row, {logits, static_cast<std::size_t>(some * vocab)});
    }
  });
}

void Model::step(std::span<const int32_t> tokens, std::span<State* const> states,
                 std::span<float> logits) {
  const auto count = static_cast<int64_t>(states.size());
  if (tokens.size() != states.size()) wrong_size("the list of tokens", tokens.size(), count);
  if (static_cast<int64_t>(logits.size()) != count * vocab_size()) {
    wrong_size("the array of logits", logits.size(), count * vocab_size());
  }
  for (const State* state : states) check_state(*state);
  const Arena::Scope scope(impl_->arena);
  const float* hidden = impl_->run(tokens, [&](int64_t layer, const float* x, float* y) {
    impl_->mixers[static_cast<std::size_t>(layer)]->step(x, states, y, impl_->arena,
                                                         impl_->parallel);
  });
  for (State* state : states) ++state->tokens;
  impl_->project(hidden, count, logits.data());
}

}  // namespace adder::infer
