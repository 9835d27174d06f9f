// Whole models: a training step, and generation, against what the machine's limits would allow.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <memory>

#include "adder/eval/bench_run.h"
#include "adder/infer/model.h"
#include "adder/model/mamba2_spec.h"
#include "adder/nn/language_model.h"
#include "adder/ops/view.h"

namespace adder::eval {
namespace {

model::ModelConfig mamba2_config(int64_t d_model, int64_t n_layer, int64_t vocab_size) {
  model::ModelConfig config;
  config.d_model = d_model;
  config.n_layer = n_layer;
  config.vocab_size = vocab_size;
  return config;
}

/// The largest of YS-71M's published settings, as form A (ys-71m, section 1).
model::ModelConfig word_ssm_config() {
  model::ModelConfig config = mamba2_config(368, 1, 28590);
  config.layers = {"word_ssm"};
  config.norm = "none";
  config.residual = false;
  config.tie_embeddings = false;
  config.head_bias = true;
  return config;
}

/// Forward, backward and AdamW of one model on one batch of random tokens.
class TrainingStep {
 public:
  TrainingStep(const model::ModelConfig& config, int64_t batch, int64_t length,
               at::ScalarType compute)
      : compute_(compute),
        model_(config, 1),
        tokens_(at::randint(config.vocab_size, {batch, length}, at::kLong)) {
    for (const at::Tensor& tensor : model_.parameters().tensors()) {
      mean_.push_back(at::zeros_like(tensor));
      square_.push_back(at::zeros_like(tensor));
      steps_.push_back(at::ones({}, at::kFloat));
    }
  }

  void operator()() {
    nn::Context context;
    context.compute = compute_;
    const at::Tensor hidden = model_.forward(tokens_, context);
    const at::Tensor loss = model_.loss(hidden, tokens_).nll_sum / tokens_.numel();
    loss.backward();
    const c10::NoGradGuard no_grad;
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& tensor : model_.parameters().tensors())
      gradients.push_back(tensor.grad());
    at::_fused_adamw_(model_.parameters().tensors(), gradients, mean_, square_, {}, steps_, 1e-4,
                      0.9, 0.95, 0.1, 1e-8, /*amsgrad=*/false, /*maximize=*/false);
    for (const at::Tensor& tensor : model_.parameters().tensors()) tensor.mutable_grad().reset();
  }

 private:
  at::ScalarType compute_;
  nn::LanguageModel model_;
  at::Tensor tokens_;
  std::vector<at::Tensor> mean_, square_, steps_;
};

/// "5.8M" as a user reads it.
std::string million_word(double parameters) {
  const auto tenths = static_cast<int64_t>(parameters / 1e5 + 0.5);
  const std::string whole = std::to_string(tenths / 10);
  return (tenths < 1000 ? whole + "." + std::to_string(tenths % 10) : whole) + "M";
}

/// A model for generation over its own random weights.
class Reader {
 public:
  Reader(const model::ModelConfig& config, at::ScalarType type) {
    const c10::NoGradGuard no_grad;
    for (const model::TensorSpec& spec : model::tensor_specs(config)) {
      at::Tensor tensor = at::empty(spec.shape, at::TensorOptions().dtype(at::kFloat));
      model::initialise(spec, 1, tensor.data_ptr<float>());
      const bool narrow = type == at::kBFloat16 && !spec.keep_f32;
      if (narrow) tensor = tensor.to(type);
      tensors_.push_back(tensor);
      bytes_ += static_cast<double>(tensor.nbytes());
      weights_[spec.name] = {tensor.data_ptr(), narrow ? DType::bf16 : DType::f32, spec.shape};
    }
    model_ = std::make_unique<infer::Model>(config, weights_, ops::torch_pool());
    logits_.resize(static_cast<size_t>(config.vocab_size));
  }

  void prefill(const std::vector<int32_t>& tokens) {
    infer::State state = model_->new_state();
    model_->prefill(tokens, state, logits_);
  }
  /// `count` tokens one after another.
  void decode(int count) {
    infer::State state = model_->new_state();
    infer::State* const states[] = {&state};
    for (int32_t i = 0; i < count; ++i) {
      const int32_t token[] = {i % 100};
      model_->step(token, states, logits_);
    }
  }
  double bytes() const { return bytes_; }  // of all weights: what a token reads

 private:
  std::vector<at::Tensor> tensors_;
  model::Weights weights_;
  std::unique_ptr<infer::Model> model_;
  std::vector<float> logits_;
  double bytes_ = 0;
};

struct Limit {
  const char* name;
  double rate;  // tokens a second that it would allow
};

void add_rate_row(BenchRun& run, const char* group, const std::string& name, const Spread& seconds,
                  double tokens, const Limit& limit) {
  BenchRow row{group, name, "tokens/s", as_rate(seconds, tokens)};
  row.limit = limit.name;
  row.share = row.ours.median / limit.rate;
  run.add(std::move(row));
}

void bench_reader(BenchRun& run, const model::ModelConfig& config, at::ScalarType type) {
  constexpr int kDecoded = 16;
  const std::string size = million_word(static_cast<double>(model::parameter_count(config))) +
                           (type == at::kBFloat16 ? " bf16 weights" : " f32 weights");
  const std::string decode = "decode mamba2 " + size, prefill = "prefill 512 mamba2 " + size;
  const bool decodes = run.wanted("generation", decode);
  const bool prefills = run.wanted("generation", prefill);
  if (!decodes && !prefills) return;
  Reader reader(config, type);
  if (decodes) {
    const Spread seconds = run.time({[&] { reader.decode(kDecoded); }})[0];
    add_rate_row(run, "generation", decode, seconds, kDecoded,
                 {"memory", run.limits().read / reader.bytes()});
  }
  if (prefills) {
    std::vector<int32_t> tokens(512);
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i % 100);
    const Spread seconds = run.time({[&] { reader.prefill(tokens); }})[0];
    const double head =
        2.0 * double(config.d_model) * double(config.vocab_size);  // last token only
    const double flops = model::forward_flops(config, 512) - head * 511 / 512;
    add_rate_row(run, "generation", prefill, seconds, 512,
                 {"fp32 GEMM", run.limits().gemm_f32 / flops});
  }
}

struct TrainingCase {
  std::string name;
  model::ModelConfig config;
  int64_t batch, length;
};

void bench_training_step(BenchRun& run, const TrainingCase& one) {
  const std::string size = million_word(static_cast<double>(model::parameter_count(one.config)));
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const bool narrow = type == at::kBFloat16;
    const std::string name = "training " + one.name + " " + size + " " + std::to_string(one.batch) +
                             "x" + std::to_string(one.length) + (narrow ? " bf16" : " f32");
    if (!run.wanted("training", name)) continue;
    TrainingStep step(one.config, one.batch, one.length, type);
    const Spread seconds = run.time({[&] { step(); }})[0];
    const double flops = 3 * model::forward_flops(one.config, one.length);
    add_rate_row(run, "training", name, seconds, double(one.batch * one.length),
                 narrow ? Limit{"bf16 GEMM", run.limits().gemm_bf16 / flops}
                        : Limit{"fp32 GEMM", run.limits().gemm_f32 / flops});
  }
}

}  // namespace

void bench_training(BenchRun& run) {
  bench_training_step(run, {"mamba2", mamba2_config(256, 8, 8192), 8, 256});
  bench_training_step(run, {"word_ssm", word_ssm_config(), 64, 128});
}

void bench_generation(BenchRun& run) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    bench_reader(run, mamba2_config(256, 8, 8192), type);
  for (const auto type : {at::kFloat, at::kBFloat16})
    bench_reader(run, mamba2_config(768, 24, 50288), type);
}

}  // namespace adder::eval
