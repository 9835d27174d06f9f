// Next-token prediction on text: the task of a language model.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "adder/data/loader.h"
#include "adder/data/prepare.h"
#include "adder/nn/language_model.h"
#include "adder/text/chat_template.h"
#include "adder/train/options.h"
#include "adder/train/starting_model.h"
#include "adder/train/task.h"

namespace adder::train {

class NextTokenTask final : public Task {
 public:
  /// The model's vocab_size 0 becomes the tokenizer's size. train.init is loaded when it is given
  /// (with train.lora, adapters are trained); its control tokens and companion files are kept where
  /// its tokenizer is the text's; with train.extend_vocab it gets rows for the words that its
  /// tokenizer lacks. Throws kConfig for a train.sample_prompt that cannot be encoded.
  NextTokenTask(const Recipe& recipe, data::PreparedData data);

  nn::Parameters& parameters() override { return model_.trained(); }
  data::Batch next() override { return loader_.next(); }
  io::Json cursor() const override { return loader_.cursor(); }
  void seek(const io::Json& cursor) override { loader_.seek(cursor); }
  /// Of the text that was read least often.
  double epochs() const override;
  io::Json identity() const override;
  int64_t count(const data::Batch& batch) const override;
  uint32_t traits(const data::Batch& batch) const override;
  at::Tensor loss_sum(const TensorBatch& batch, nn::Context& context) override;
  bool holds_out() const override;
  std::map<std::string, double> evaluate(int64_t limit, nn::Context& context) override;
  std::string sample(uint64_t seed) override;
  /// With adapters: the merged model, and the adapters alone in its folder adapter/.
  void save(const std::string& folder) const override;
  int64_t frozen_bytes() const override;
  void load(const std::string& folder) override;

  const nn::LanguageModel& model() const { return model_; }
  /// Parameters that training changes.
  int64_t trained_count() const;
  /// {"kind", "vocab_size", "hash"} of what the text is made of.
  io::Json tokenizer_json() const;

 private:
  /// `start`: of train.init; null without it.
  NextTokenTask(const Recipe& recipe, data::PreparedData data,
                const std::unique_ptr<model::ModelDirectory>& start);
  /// The final hidden states of the batch's tokens.
  at::Tensor hidden(const TensorBatch& batch, nn::Context& context) const;
  void end_answers(std::vector<int32_t>& eos, std::vector<std::string>& stop) const;
  void save_companions(const std::filesystem::path& folder) const;

  TrainOptions options_;
  std::string mode_;  // data.mode
  int64_t stride_;    // data.stride
  data::PreparedData data_;
  data::TokenLoader loader_;
  nn::LanguageModel model_;
  StartingModel start_;
  std::unique_ptr<data::TokenLoader> validation_;  // null: nothing is held out
  std::optional<text::ChatTemplate> chat_;         // of conversations
  std::vector<int32_t> prompt_;                    // what samples begin with
};

}  // namespace adder::train
