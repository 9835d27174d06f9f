#include "adder/train/next_token.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "adder/base/error.h"
#include "adder/infer/generate.h"
#include "adder/infer/model.h"
#include "adder/io/file.h"
#include "adder/nn/lora.h"
#include "adder/ops/view.h"
#include "adder/train/accelerator.h"
#include "adder/train/device_limits.h"
#include "adder/train/grown_vocabulary.h"
#include "adder/train/identity.h"
#include "adder/train/tensors.h"
#include "adder/train/text_size.h"

namespace adder::train {

namespace {

// Of a batch (Task::traits).
constexpr uint32_t kPadded = 1;      // some token is padding
constexpr uint32_t kSharedRows = 2;  // some row holds more than one document

/// train.init; null without it.
std::unique_ptr<model::ModelDirectory> open_start(const TrainOptions& options) {
  if (options.init.empty()) return nullptr;
  return std::make_unique<model::ModelDirectory>(model::ModelDirectory::open(options.init));
}

/// The model to start from, or the recipe's with the tokenizer's vocabulary where it names none.
model::ModelConfig configured(const Recipe& recipe, const data::PreparedData& data,
                              const model::ModelDirectory* start) {
  const int64_t tokens = data.tokenizer->vocab_size();
  if (start != nullptr) {
    model::ModelConfig config = start->config();
    if (recipe.train.extend_vocab) config.vocab_size = std::max(config.vocab_size, tokens);
    if (config.vocab_size >= tokens) return config;
    throw Error(ErrorKind::kConfig,
                {.what = "the model to start from has fewer tokens than the tokenizer",
                 .where = "train.init = " + recipe.train.init,
                 .why = std::to_string(start->config().vocab_size) + " rows, " +
                        std::to_string(tokens) + " tokens",
                 .next = "train with the tokenizer of that model: data.tokenizer = \"" +
                         recipe.train.init + "\""});
  }
  model::ModelConfig config = recipe.model;
  if (config.vocab_size == 0) config.vocab_size = tokens;
  config.check();
  if (config.vocab_size >= tokens) return config;
  throw Error(ErrorKind::kConfig,
              {.what = "model.vocab_size is smaller than the tokenizer's vocabulary",
               .where = "model.vocab_size",
               .why = std::to_string(config.vocab_size) + " < " + std::to_string(tokens),
               .next = "leave model.vocab_size out"});
}

/// How many of the tokens the model to start from has.
int64_t known_tokens(const model::ModelDirectory& start, const text::WordTokenizer& tokenizer) {
  const auto old = text::load_tokenizer(start.folder());
  const auto* words = dynamic_cast<const text::WordTokenizer*>(old.get());
  if (words != nullptr && tokenizer.extends(*words)) return words->vocab_size();
  throw Error(ErrorKind::kConfig,
              {.what = "the tokenizer does not extend the one of the model to start from",
               .where = "train.extend_vocab",
               .why = start.folder().string() + " has other tokens",
               .next = "leave data.tokenizer out: that model's own is extended then"});
}

nn::Placement placement_of(const TrainOptions& options) {
  const at::Device device = open_device(options.device);
  // Several passes add their gradients up, in fp32; and adapters stand beside a frozen model.
  const bool narrow = !device.is_cpu() && options.compute == "bf16" && options.accumulation == 1 &&
                      !options.lora.given();
  return {device, narrow};
}

/// `documents`: rows may hold several.
nn::LanguageModel make_model(const Recipe& recipe, const data::PreparedData& data, bool documents,
                             const model::ModelDirectory* start) {
  const model::ModelConfig config = configured(recipe, data, start);
  if (recipe.train.device != "cpu") check_for_device(config, documents);
  const nn::Placement placement = placement_of(recipe.train);
  const auto seed = static_cast<uint64_t>(recipe.train.seed);
  const auto* words = dynamic_cast<const text::WordTokenizer*>(data.tokenizer.get());
  if (start != nullptr && recipe.train.extend_vocab && words != nullptr) {
    const GrownVocabulary grown(start->weights(), *words, known_tokens(*start, *words));
    return nn::LanguageModel(config, seed, {}, &grown.weights(), placement);
  }
  return nn::LanguageModel(config, seed, recipe.train.lora, start ? &start->weights() : nullptr,
                           placement);
}

/// What a sample begins with: the words of a user where conversations are learnt, and where nothing
/// is given the token that the training text begins with.
std::vector<int32_t> encode_prompt(const std::string& text, const text::ChatTemplate* chat,
                                   const data::PreparedData& data) {
  try {
    const std::vector<text::ChatMessage> turn = {{"user", text}};
    std::vector<int32_t> ids;
    if (!text.empty()) {
      ids = chat == nullptr ? data.tokenizer->encode(text)
                            : chat->encode(turn, *data.tokenizer, true).ids;
    }
    if (ids.empty()) ids.push_back(data.shards->token(0));
    return ids;
  } catch (const Error& error) {
    ErrorText words = error.text();
    words.where = "train.sample_prompt" + (words.where.empty() ? "" : ", " + words.where);
    throw Error(ErrorKind::kConfig, std::move(words));
  }
}

/// In a folder of their own: other programs take a folder with adapters for nothing but adapters.
std::string adapter_folder(const std::string& folder) {
  return (std::filesystem::path(folder) / "adapter").string();
}

data::LoaderOptions loader_options(const Recipe& recipe) {
  return {.batch_size = recipe.train.batch_size,
          .length = recipe.train.length,
          .seed = recipe.train.seed,
          .mode = data::parse_pack_mode(recipe.data.mode),
          .stride = recipe.data.stride};
}

}  // namespace

NextTokenTask::NextTokenTask(const Recipe& recipe, data::PreparedData data)
    : NextTokenTask(recipe, std::move(data), open_start(recipe.train)) {}

NextTokenTask::NextTokenTask(const Recipe& recipe, data::PreparedData data,
                             const std::unique_ptr<model::ModelDirectory>& start)
    : options_(recipe.train),
      mode_(recipe.data.mode),
      stride_(recipe.data.stride),
      data_(std::move(data)),
      loader_(*data_.shards, data_.split.train, loader_options(recipe)),
      model_(make_model(recipe, data_, loader_.has_seq_idx(), start.get())) {
  if (!data_.split.validation.empty()) {
    data::LoaderOptions once = loader_options(recipe);
    once.stride = 0;
    validation_ = std::make_unique<data::TokenLoader>(*data_.shards, data_.split.validation, once);
  }
  if (!data_.chat_template.empty()) {
    chat_ = text::ChatTemplate::from_json(data_.chat_template, "data.chat_template");
  }
  prompt_ = encode_prompt(options_.sample_prompt, chat_ ? &*chat_ : nullptr, data_);
  if (start) start_ = read_starting_model(*start, *data_.tokenizer, options_.lora.given());
}

double NextTokenTask::epochs() const {
  double least = std::numeric_limits<double>::infinity();
  for (size_t portion = 0; portion < data_.split.train.size(); ++portion) {
    least = std::min(least, loader_.progress(portion));
  }
  return least;
}

io::Json NextTokenTask::identity() const {
  io::Json identity = {{"model", model_identity(model_.config())},
                       {"tokenizer", data_.tokenizer->hash()},
                       {"text", data_.shards->manifest().source},
                       {"mode", mode_},
                       {"seed", options_.seed},
                       {"batch_size", options_.batch_size},
                       {"length", options_.length},
                       {"accumulation", options_.accumulation},
                       {"compute", options_.compute},
                       {"z_loss", options_.z_loss},
                       {"label_smoothing", options_.label_smoothing},
                       {"train.lora.rank", options_.lora.rank}};
  if (stride_ > 0) identity["data.stride"] = stride_;
  for (const data::Portion& portion : data_.split.train) {
    if (data_.split.train.size() > 1) identity["weights"].push_back(portion.weight);
  }
  if (options_.lora.given()) {  // the adapters alone are stored: the base must be the same one
    identity["base"] = start_.hash;
    identity["train.lora.alpha"] = options_.lora.alpha;
    identity["train.lora.targets"] = options_.lora.targets;
  }
  return identity;
}

int64_t NextTokenTask::count(const data::Batch& batch) const {
  const auto targets = batch.at("targets").as<int64_t>();
  return std::count_if(targets.begin(), targets.end(),
                       [](int64_t t) { return t != data::kIgnoreTarget; });
}

uint32_t NextTokenTask::traits(const data::Batch& batch) const {
  const auto found = batch.find("seq_idx");  // (rows, length)
  if (found == batch.end()) return 0;
  const auto documents = found->second.as<int32_t>();
  const auto length = static_cast<size_t>(found->second.shape.at(1));
  uint32_t traits = 0;
  for (size_t i = 0; i < documents.size(); ++i) {
    if (documents[i] < 0) {
      traits |= kPadded;
    } else if (i % length != 0 && documents[i] != documents[i - 1]) {
      traits |= kSharedRows;
    }
  }
  return traits;
}

at::Tensor NextTokenTask::hidden(const TensorBatch& batch, nn::Context& context) const {
  context.seq_idx = batch.at("seq_idx");
  context.has_padding = (batch.traits & kPadded) != 0;
  context.shares_rows = (batch.traits & kSharedRows) != 0;
  return model_.forward(batch.at("tokens"), context);
}

at::Tensor NextTokenTask::loss_sum(const TensorBatch& batch, nn::Context& context) {
  const auto [z_loss, smoothing] = std::pair(options_.z_loss, options_.label_smoothing);
  return model_.loss(hidden(batch, context), batch.at("targets"), z_loss, smoothing).nll_sum;
}

bool NextTokenTask::holds_out() const {
  return validation_ && validation_->eval_windows() > 0;
}

std::map<std::string, double> NextTokenTask::evaluate(int64_t limit, nn::Context& context) {
  if (!holds_out()) return {};
  const c10::NoGradGuard no_grad;
  const int64_t all = validation_->eval_windows();
  const int64_t rows = std::min(options_.batch_size, all);
  const int64_t batches = (all + rows - 1) / rows;
  const int64_t wanted = limit == 0 ? batches : std::clamp<int64_t>(limit / rows, 1, batches);
  double sum = 0;
  int64_t tokens = 0, characters = 0;
  for (int64_t i = 0; i < wanted; ++i) {
    const int64_t first = i * batches / wanted * rows;  // spread over the text
    const data::Batch batch = validation_->eval_batch(first, std::min(rows, all - first));
    const TensorBatch there =
        to_device(borrow(batch, traits(batch)), model_.parameters().tensors().front().device());
    sum += model_.loss(hidden(there, context), there.at("targets")).nll_sum.item<double>();
    tokens += count(batch);
    characters += target_characters(batch, *data_.tokenizer);
  }
  if (tokens == 0) return {};
  const double loss = sum / static_cast<double>(tokens);
  std::map<std::string, double> metrics = {
      {"loss", loss}, {"perplexity", std::exp(loss)}, {"tokens", static_cast<double>(tokens)}};
  if (characters > 0) {
    metrics["bits_per_character"] = sum / std::numbers::ln2 / static_cast<double>(characters);
  }
  return metrics;
}

/// A token that ends answers, or a text where the template has no token for it.
void NextTokenTask::end_answers(std::vector<int32_t>& eos, std::vector<std::string>& stop) const {
  const std::string end = chat_->answer_end();
  if (end.empty()) return;
  const auto ids = data_.tokenizer->encode(end, {.specials = text::Specials::kParsed});
  if (!ids.empty() && data_.tokenizer->is_control(ids[0])) return eos.push_back(ids[0]);
  stop.push_back(end);
}

std::string NextTokenTask::sample(uint64_t seed) {
  const nn::MergedWeights merged(model_.parameters());
  infer::Model reader(model_.config(), merged.weights(), ops::torch_pool());
  infer::GenerateOptions options;
  options.max_new_tokens = options_.sample_tokens;
  options.ignore_eos = !chat_;  // an answer ends
  options.sampler.temperature = 0.8;
  options.sampler.seed = static_cast<int64_t>(seed);
  std::vector<int32_t> eos;
  if (chat_) end_answers(eos, options.stop);
  infer::State state = reader.new_state();
  const infer::Generation drawn =
      infer::Generator(reader, *data_.tokenizer, eos).run(prompt_, state, options);
  return data_.tokenizer->decode(prompt_) + drawn.text;
}

void NextTokenTask::save(const std::string& folder) const {
  model::SaveOptions options{.special_tokens = start_.special_tokens,
                             .tokenizer_hash = data_.tokenizer->hash()};
  const auto eos = data_.tokenizer->eos_id();
  if (eos && options.special_tokens.eos.empty()) options.special_tokens.eos = {*eos};
  const nn::MergedWeights merged(model_.parameters());
  model::save_model(folder, model_.config(), merged.weights(), options);
  data_.tokenizer->save(std::filesystem::path(folder) / data_.tokenizer->file_name());
  save_companions(folder);
  if (options_.lora.given()) {
    nn::save_adapters(adapter_folder(folder), model_.config(), model_.trained(), options_.lora,
                      start_.folder);
  }
}

/// What the model was trained with now wins over where it began.
void NextTokenTask::save_companions(const std::filesystem::path& folder) const {
  for (const auto& [name, content] : start_.companions) {
    if (chat_ && name.starts_with("chat_template")) continue;
    const bool stale = chat_ && name == "tokenizer_config.json";
    io::write_file_atomic(folder / name, stale ? without_chat_template(content, name) : content);
  }
  if (!chat_) return;
  io::write_file_atomic(folder / "chat_template.json", data_.chat_template);
  io::write_file_atomic(folder / "chat_template.jinja", chat_->to_jinja());  // for other programs
}

io::Json NextTokenTask::tokenizer_json() const {
  return {{"kind", data_.tokenizer->kind()},
          {"vocab_size", data_.tokenizer->vocab_size()},
          {"hash", data_.tokenizer->hash()}};
}

int64_t NextTokenTask::trained_count() const {
  int64_t count = 0;
  for (const model::TensorSpec& spec : model_.trained().specs()) {
    if (!spec.frozen) count += model::element_count(spec.shape);
  }
  return count;
}

int64_t NextTokenTask::frozen_bytes() const {
  return options_.lora.given() ? 4 * model::parameter_count(model_.config()) : 0;
}

void NextTokenTask::load(const std::string& folder) {
  if (options_.lora.given()) return nn::load_adapters(adapter_folder(folder), model_.trained());
  const auto stored = model::ModelDirectory::open(folder);
  model_.parameters().load(stored.weights());
}

}  // namespace adder::train
