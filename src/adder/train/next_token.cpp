#include "adder/train/next_token.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "adder/base/error.h"
#include "adder/infer/generate.h"
#include "adder/infer/model.h"
#include "adder/ops/view.h"
#include "adder/train/tensors.h"

namespace adder::train {

namespace {

/// The recipe's model with the tokenizer's vocabulary where it names none.
model::ModelConfig configured(const Recipe& recipe, const data::PreparedData& data) {
  if (!recipe.train.init.empty()) {
    const auto start = model::ModelDirectory::open(recipe.train.init);
    if (start.config().vocab_size < data.tokenizer->vocab_size()) {
      throw Error(ErrorKind::kConfig,
                  {.what = "the model to start from has fewer tokens than the tokenizer",
                   .where = "train.init = " + recipe.train.init,
                   .why = std::to_string(start.config().vocab_size) + " rows, " +
                          std::to_string(data.tokenizer->vocab_size()) + " tokens",
                   .next = "train with the tokenizer of that model: data.tokenizer = \"" +
                           recipe.train.init + "\""});
    }
    return start.config();
  }
  model::ModelConfig config = recipe.model;
  if (config.vocab_size == 0) config.vocab_size = data.tokenizer->vocab_size();
  config.check();
  if (config.vocab_size < data.tokenizer->vocab_size()) {
    throw Error(ErrorKind::kConfig,
                {.what = "model.vocab_size is smaller than the tokenizer's vocabulary",
                 .where = "model.vocab_size",
                 .why = std::to_string(config.vocab_size) + " < " +
                        std::to_string(data.tokenizer->vocab_size()),
                 .next = "leave model.vocab_size out"});
  }
  return config;
}

data::LoaderOptions loader_options(const Recipe& recipe) {
  return {recipe.train.batch_size, recipe.train.length, recipe.train.seed,
          data::parse_pack_mode(recipe.data.mode)};
}

}  // namespace

NextTokenTask::NextTokenTask(const Recipe& recipe, data::PreparedData data)
    : options_(recipe.train),
      mode_(recipe.data.mode),
      data_(std::move(data)),
      model_(configured(recipe, data_), static_cast<uint64_t>(recipe.train.seed)),
      loader_(*data_.shards, data_.split.train, loader_options(recipe)) {
  if (data_.split.validation.end > data_.split.validation.begin) {
    validation_ = std::make_unique<data::TokenLoader>(*data_.shards, data_.split.validation,
                                                      loader_options(recipe));
  }
  if (!options_.init.empty()) load(options_.init);
}

io::Json NextTokenTask::identity() const {
  model::ModelConfig config = model_.config();
  io::Json model;
  for (const OptionEntry& entry : flatten(config)) model[entry.key] = to_text(entry.value);
  return {{"model", model},
          {"tokenizer", data_.tokenizer->hash()},
          {"text", data_.shards->manifest().source},
          {"mode", mode_},
          {"seed", options_.seed},
          {"batch_size", options_.batch_size},
          {"length", options_.length},
          {"accumulation", options_.accumulation}};
}

int64_t NextTokenTask::count(const data::Batch& batch) const {
  const auto targets = batch.at("targets").as<int64_t>();
  return std::count_if(targets.begin(), targets.end(),
                       [](int64_t t) { return t != data::kIgnoreTarget; });
}

at::Tensor NextTokenTask::loss_sum(const data::Batch& batch, nn::Context& context) {
  context.seq_idx = tensor_of(batch, "seq_idx");
  const at::Tensor hidden = model_.forward(tensor_of(batch, "tokens"), context);
  return model_.loss(hidden, tensor_of(batch, "targets"), options_.z_loss, options_.label_smoothing)
      .nll_sum;
}

std::map<std::string, double> NextTokenTask::evaluate(int64_t limit, nn::Context& context) {
  if (!validation_) return {};
  const c10::NoGradGuard no_grad;
  const int64_t all = validation_->eval_windows();
  if (all == 0) return {};
  const int64_t rows = std::min(options_.batch_size, all);
  const int64_t batches = (all + rows - 1) / rows;
  const int64_t wanted = limit == 0 ? batches : std::clamp<int64_t>(limit / rows, 1, batches);
  double sum = 0;
  int64_t tokens = 0;
  for (int64_t i = 0; i < wanted; ++i) {
    const int64_t first = i * batches / wanted * rows;  // spread over the text
    const data::Batch batch = validation_->eval_batch(first, std::min(rows, all - first));
    context.seq_idx = tensor_of(batch, "seq_idx");
    const at::Tensor hidden = model_.forward(tensor_of(batch, "tokens"), context);
    sum += model_.loss(hidden, tensor_of(batch, "targets")).nll_sum.item<double>();
    tokens += count(batch);
  }
  if (tokens == 0) return {};
  const double loss = sum / static_cast<double>(tokens);
  return {{"loss", loss}, {"perplexity", std::exp(loss)}, {"tokens", static_cast<double>(tokens)}};
}

std::string NextTokenTask::sample(uint64_t seed) {
  infer::Model reader(model_.config(), model_.parameters().weights(), ops::torch_pool());
  infer::GenerateOptions options;
  options.max_new_tokens = options_.sample_tokens;
  options.ignore_eos = true;
  options.sampler.temperature = 0.8;
  options.sampler.seed = static_cast<int64_t>(seed);
  // Where nothing is given to begin with, the token that the training text begins with.
  std::vector<int32_t> prompt = data_.tokenizer->encode(options_.sample_prompt);
  if (prompt.empty()) prompt.push_back(data_.shards->token(0));
  infer::State state = reader.new_state();
  const infer::Generation drawn =
      infer::Generator(reader, *data_.tokenizer).run(prompt, state, options);
  return data_.tokenizer->decode(prompt) + drawn.text;
}

void NextTokenTask::save(const std::string& folder) const {
  model::SaveOptions options;
  if (const auto eos = data_.tokenizer->eos_id()) options.special_tokens.eos = {*eos};
  model::save_model(folder, model_.config(), model_.parameters().weights(), options);
  data_.tokenizer->save(std::filesystem::path(folder) / "tokenizer.json");
}

void NextTokenTask::load(const std::string& folder) {
  const auto stored = model::ModelDirectory::open(folder);
  model_.parameters().load(stored.weights());
}

}  // namespace adder::train
