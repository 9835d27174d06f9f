#include "adder/train/options.h"

#include <string>
#include <string_view>
#include <vector>

#include "adder/data/corpora.h"
#include "adder/model/option_check.h"

namespace adder::train {
namespace {

using model::require_choice;
using model::require_number;
using model::require_within;

constexpr int64_t kMaxSteps = int64_t{1} << 40;
constexpr int64_t kMaxBatch = int64_t{1} << 20;
constexpr int64_t kMaxLength = int64_t{1} << 24;
constexpr int64_t kMaxStepTokens = int64_t{1} << 32;

const std::vector<std::string> kSchedules = {"cosine", "wsd", "constant"};
const std::vector<std::string> kOnNan = {"stop", "skip", "rollback"};
const std::vector<std::string> kOnSpike = {"ignore", "stop", "skip", "rollback"};
const std::vector<std::string> kCompute = {"f32", "bf16"};
const std::vector<std::string> kDevices = {"cpu", "cuda"};

/// 0 <= value < 1.
void require_below_one(std::string_view key, double value) {
  if (value >= 0 && value < 1) return;
  model::fail_option(key, to_text(OptionRef(&value)), "it must be at least 0 and below 1");
}

}  // namespace

void OptimizerOptions::describe(OptionVisitor& v) {
  v.field("lr", lr, "peak learning rate of AdamW");
  v.field("beta1", beta1, "AdamW: decay of the mean gradient");
  v.field("beta2", beta2, "AdamW: decay of the mean squared gradient");
  v.field("eps", eps, "AdamW: added to the root of the squared gradient");
  v.field("weight_decay", weight_decay,
          "AdamW: decay of matrices; norms, biases and decays are exempt");
  v.field("clip", clip, "largest global gradient norm; 0: no clipping");
}

void OptimizerOptions::check() const {
  require_number("train.lr", lr, 0, 1e3);
  require_below_one("train.beta1", beta1);
  require_below_one("train.beta2", beta2);
  require_number("train.eps", eps, 0, 1, true);
  require_number("train.weight_decay", weight_decay, 0, 1e3);
  require_number("train.clip", clip, 0, 1e30);
}

void ScheduleOptions::describe(OptionVisitor& v) {
  v.choice("schedule", schedule, kSchedules,
           "learning rate over time; wsd: warm-up, stable, linear decay");
  v.field("warmup_steps", warmup_steps, "steps of linear warm-up");
  v.field("final_lr", final_lr, "what cosine and wsd end at, as a fraction of lr");
  v.field("decay_fraction", decay_fraction,
          "wsd: last share of the steps, in which the rate falls");
}

void ScheduleOptions::check() const {
  require_choice("train.schedule", schedule, kSchedules);
  require_within("train.warmup_steps", warmup_steps, 0, kMaxSteps);
  require_number("train.final_lr", final_lr, 0, 1);
  require_number("train.decay_fraction", decay_fraction, 0, 1);
}

void GuardOptions::describe(OptionVisitor& v) {
  v.choice("on_nan", on_nan, kOnNan,
           "when a loss or gradient is not finite: stop, leave the step out, or go back to the "
           "last checkpoint");
  v.choice("on_spike", on_spike, kOnSpike,
           "when a loss is spike_sigma deviations above the last 128");
  v.field("spike_sigma", spike_sigma, "deviations that make a spike");
  v.field("halve_lr_after", halve_lr_after,
          "bad steps in a row, each such number of which halves the learning rate for good; 0: "
          "never");
  v.field("max_skips", max_skips, "bad steps in a row before training stops");
}

void GuardOptions::check() const {
  require_choice("train.on_nan", on_nan, kOnNan);
  require_choice("train.on_spike", on_spike, kOnSpike);
  require_number("train.spike_sigma", spike_sigma, 0, 1e6, true);
  require_within("train.halve_lr_after", halve_lr_after, 0, kMaxSteps);
  require_within("train.max_skips", max_skips, 1, kMaxSteps);
}

void TrainOptions::describe(OptionVisitor& v) {
  v.field("steps", steps, "optimiser steps");
  v.field("batch_size", batch_size, "sequences in one forward pass");
  v.field("length", length, "tokens in a sequence");
  v.field("accumulation", accumulation, "forward passes in one step");
  v.choice("compute", compute, kCompute,
           "type of activations and matrix products; weights stay fp32");
  v.field("checkpoint_activations", checkpoint_activations,
          "keep each block's input only and compute the rest again: less memory, about a third "
          "more time");
  v.choice("device", device, kDevices, "where the model is trained");
  v.field("seed", seed, "of initialisation, data order and samples");
  v.field("threads", threads, "processor threads; 0: every core");
  v.field("init", init, "model directory to start from (fine-tuning)");
  v.field("extend_vocab", extend_vocab,
          "with init and its word tokenizer: words of the text that it lacks get new tokens; they "
          "begin as the mean of the characters that spell them");
  v.group("lora", lora);
  v.field("z_loss", z_loss, "weight of the squared log-partition in the loss");
  v.field("label_smoothing", label_smoothing, "share of the target spread over the vocabulary");
  optimizer.describe(v);
  schedule.describe(v);
  guard.describe(v);
  v.group("stop", stop);
  v.field("overfit", overfit,
          "memorise the text: nothing is held out, and training ends when the training loss is at "
          "stop.target_loss");
  v.field("log_every", log_every, "steps between metrics");
  v.field("eval_every", eval_every, "steps between evaluations; 0: at the end only");
  v.field("eval_windows", eval_windows, "windows an evaluation on the way reads; 0: all");
  v.field("save_every", save_every, "steps between checkpoints; 0: at the end only");
  v.field("keep_last", keep_last, "checkpoints kept beside the best");
  v.field("sample_every", sample_every, "steps between samples; 0: at the end only");
  v.field("sample_prompt", sample_prompt, "what samples begin with");
  v.field("sample_tokens", sample_tokens, "tokens in a sample");
}

void TrainOptions::check() const {
  require_within("train.steps", steps, 1, kMaxSteps);
  require_within("train.batch_size", batch_size, 1, kMaxBatch);
  require_within("train.length", length, 1, kMaxLength);
  require_within("train.accumulation", accumulation, 1, kMaxBatch);
  if (batch_size * length > kMaxStepTokens / accumulation) {
    model::fail_option(
        "train.batch_size", std::to_string(batch_size),
        "batch_size * length * accumulation, the tokens of a step, must be at most " +
            std::to_string(kMaxStepTokens));
  }
  require_choice("train.compute", compute, kCompute);
  require_choice("train.device", device, kDevices);
  require_within("train.threads", threads, 0, 4096);
  lora.check();
  if (extend_vocab && init.empty()) {
    model::fail_option("train.extend_vocab", "true", "there is no train.init to extend");
  }
  if (extend_vocab && lora.given()) {
    model::fail_option("train.extend_vocab", "true",
                       "new tokens need rows of the model itself: leave train.lora out");
  }
  if (lora.given() && init.empty()) {
    model::fail_option("train.lora.rank", std::to_string(lora.rank),
                       "adapters need a model to start from: set train.init");
  }
  require_number("train.z_loss", z_loss, 0, 1e3);
  require_below_one("train.label_smoothing", label_smoothing);
  optimizer.check();
  schedule.check();
  guard.check();
  stop.check();
  if (stop.metric == "val" && eval_every == 0) {
    model::fail_option("train.stop.metric", stop.metric,
                       "no evaluation comes before the end: set train.eval_every");
  }
  require_within("train.log_every", log_every, 0, kMaxSteps);
  require_within("train.eval_every", eval_every, 0, kMaxSteps);
  require_within("train.eval_windows", eval_windows, 0, kMaxSteps);
  require_within("train.save_every", save_every, 0, kMaxSteps);
  require_within("train.keep_last", keep_last, 1, kMaxSteps);
  require_within("train.sample_every", sample_every, 0, kMaxSteps);
  require_within("train.sample_tokens", sample_tokens, 0, kMaxLength);
}

void Recipe::describe(OptionVisitor& v) {
  v.group("data", data);
  v.group("model", model);
  v.group("train", train);
}

void Recipe::settle() {
  if (!train.overfit) return;
  data.val_fraction = 0;
  if (train.stop.metric == "none") train.stop.metric = "train";
  if (train.stop.target_loss == 0) train.stop.target_loss = kMemorisedLoss;
}

void Recipe::check() const {
  train.check();
  if (train.overfit && (!data.val_text.empty() || data.val_documents > 0)) {
    model::fail_option("train.overfit", "true",
                       "nothing is held out then: leave data.val_text and data.val_documents out");
  }
  const bool held_out = data.val_fraction > 0 || data.val_documents > 0 || !data.val_text.empty();
  if (train.stop.metric == "val" && !train.overfit && !held_out && !data::shard_folder(data)) {
    model::fail_option("train.stop.metric", "val", "nothing is held out: set data.val_fraction");
  }
  if (train.overfit && train.stop.metric != "train") {
    model::fail_option("train.stop.metric", train.stop.metric,
                       "train.overfit looks at the training loss: leave it out");
  }
  if (!train.init.empty()) return;
  model::ModelConfig config = model;
  if (config.vocab_size == 0) config.vocab_size = 1;  // not known yet
  config.check();
}

}  // namespace adder::train
