#include "adder/train/training_run.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <utility>
#include <vector>

#include "adder/base/error.h"
#include "adder/io/file.h"
#include "adder/train/schedule.h"
#include "adder/train/stop_signals.h"

namespace adder::train {

nn::Context TrainingRun::context(bool training) const {
  nn::Context context;
  context.compute = options_.compute == "bf16" ? at::kBFloat16 : at::kFloat;
  context.checkpoint = training && options_.checkpoint_activations;
  return context;
}

TrainingRun::Batches TrainingRun::next_batches() {
  Batches batches;
  for (int64_t i = 0; i < options_.accumulation; ++i) {
    batches.passes.push_back(task_.next());
    batches.count += task_.count(batches.passes.back());
  }
  return batches;
}

void TrainingRun::look_at_text() {
  cursor_ = task_.cursor();
  epochs_ = task_.epochs();
}

TrainingRun::Outcome TrainingRun::step_here(const Batches& batches, double lr) {
  double sum = 0;
  for (const data::Batch& batch : batches.passes) {
    nn::Context forward = context(true);
    const at::Tensor loss = task_.loss_sum(borrow(batch, task_.traits(batch)), forward);
    const auto count = static_cast<double>(std::max<int64_t>(1, batches.count));
    torch::autograd::backward({loss / count}, {});
    sum += loss.item<double>();
  }
  // NaN when the batches ask for nothing: the guard leaves such a step out.
  Outcome outcome{sum / static_cast<double>(batches.count),
                  gradient_norm(task_.parameters().tensors())};
  outcome.verdict = guard_.judge(outcome.loss, outcome.norm);
  if (outcome.verdict == Verdict::kApply) {
    const double clip = options_.optimizer.clip;
    optimizer_.step(lr, clip > 0 && outcome.norm > clip ? clip / outcome.norm : 1.0);
  } else {
    optimizer_.clear_gradients();
  }
  return outcome;
}

/// The device applies the step or leaves it out by itself: as the guard judges afterwards.
TrainingRun::Outcome TrainingRun::step_on_device(const Batches& batches, double lr) {
  if (device_step_ == nullptr) {
    device_step_ = std::make_unique<DeviceStep>(task_, optimizer_, *accelerator_, context(true));
  }
  device_step_->launch(batches.passes, batches.count, optimizer_.next(lr, guard_.limit()));
  if (step_ + 1 < options_.steps) ahead_ = next_batches();
  const kernels::AdamwReport report = device_step_->wait();
  const Verdict verdict = guard_.judge(report.loss, report.norm);
  if ((verdict == Verdict::kApply) != (report.applied != 0)) {
    throw Error(ErrorKind::kInternal,
                {.what = "the device and the guard disagree about a step",
                 .why = fmt::format("loss {}, gradient norm {}", report.loss, report.norm)});
  }
  return {report.loss, report.norm, verdict};
}

void TrainingRun::step() {
  const double scheduled = learning_rate_factor(options_.schedule, step_, options_.steps);
  const double lr_factor = guard_.lr_factor();
  const double lr = options_.optimizer.lr * scheduled * lr_factor;
  const Batches batches = ahead_ ? *std::exchange(ahead_, std::nullopt) : next_batches();
  look_at_text();
  const Outcome outcome = accelerator_ ? step_on_device(batches, lr) : step_here(batches, lr);
  ++step_;
  items_ += batches.count;
  report_ = {step_, items_, outcome.loss, lr, outcome.norm};
  report_.lr_factor = lr_factor;
  report_.skipped = outcome.verdict != Verdict::kApply;
  if (report_.skipped) apply_verdict(outcome.verdict);
}

void TrainingRun::fail(const std::string& why) const {
  throw Error(
      ErrorKind::kNumeric,
      {.what = "training went astray",
       .where = folder_.string(),
       .why = why,
       .next =
           "lower train.lr or raise train.warmup_steps; the last good checkpoint still stands"});
}

void TrainingRun::apply_verdict(Verdict verdict) {
  const std::string bad = fmt::format("step {}: ", step_);
  if (verdict == Verdict::kStop) fail(bad + guard_.reason());
  if (verdict == Verdict::kRollBack) {
    if (const auto found = checkpoints_.newest_good()) {
      roll_back(*found, bad + guard_.reason());
      return note(bad + guard_.reason() +
                  fmt::format("; back to the checkpoint of step {}", step_));
    }
    guard_.skip();
  }
  note(bad + guard_.reason() + "; the step is left out");
}

/// Of training, in this process and before it.
double TrainingRun::minutes() const {
  return (seconds_before_ + std::chrono::duration<double>(Clock::now() - started_).count()) / 60;
}

/// Asks the clock, so it is asked only where what belongs to the end still follows.
void TrainingRun::decide() {
  reason_ = stop_.reason(minutes(), epochs_);
  finished_ = step_ >= options_.steps || reason_.has_value();
}

void TrainingRun::look_at_training() {
  const int64_t every = look_every(options_.log_every);
  const auto losses = static_cast<size_t>(every);
  if (!stop_.watches("train") || step_ % every != 0 || guard_.seen() < losses) return;
  stop_.look(step_, guard_.mean(losses));
}

std::map<std::string, double> TrainingRun::held_out(int64_t limit) {
  std::map<std::string, double> metrics;
  const auto read = [&] {
    nn::Context forward = context(false);
    metrics = task_.evaluate(limit, forward);
  };
  accelerator_ ? accelerator_->run(read) : read();
  return metrics;
}

void TrainingRun::evaluate() {
  result_.evaluation = held_out(options_.eval_windows);
  const auto found = result_.evaluation.find("loss");
  // Held-out conversations may have no answer in the windows that were read.
  const double loss =
      found == result_.evaluation.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
  improved_ = loss < best_loss_;
  if (improved_) candidate_loss_ = loss;
  if (stop_.watches("val") && options_.eval_every > 0 && step_ % options_.eval_every == 0) {
    stop_.look(step_, loss);
    decide();
  }
  // The last one reads everything; the best is chosen among evaluations of the same text.
  if (finished_ && options_.eval_windows > 0) result_.evaluation = held_out(0);
  if (result_.evaluation.empty()) return;
  metrics_->evaluation(step_, result_.evaluation);
  if (listener_.on_evaluation) listener_.on_evaluation(step_, result_.evaluation);
}

void TrainingRun::sample() {
  std::string text;
  try {
    text = task_.sample(static_cast<uint64_t>(options_.seed + step_));
  } catch (const Error& error) {  // a look at the model is not worth the run
    note(fmt::format("step {}: no sample\n{}", step_, error.what()));
  }
  if (text.empty()) return;
  io::make_directories(folder_ / "samples");
  io::write_file_atomic(folder_ / "samples" / fmt::format("step-{:08d}.txt", step_), text);
  if (listener_.on_sample) listener_.on_sample(step_, text);
}

int64_t TrainingRun::device_bytes() const {
  return accelerator_ ? accelerator_->peak_bytes() : 0;
}

void TrainingRun::record_step() {
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - reported_at_).count();
  report_.items_per_s =
      static_cast<double>(report_.items - reported_items_) / std::max(1e-9, seconds);
  reported_at_ = now;
  reported_items_ = report_.items;
  metrics_->step({.step = report_.step,
                  .tokens = report_.items,
                  .loss = report_.loss,
                  .lr = report_.lr,
                  .grad_norm = report_.grad_norm,
                  .tokens_per_s = report_.items_per_s,
                  .skipped = report_.skipped,
                  .device_mb = std::round(static_cast<double>(device_bytes()) / 1e5) / 10});
}

void TrainingRun::after_step() {
  const bool last = finished_ || result_.interrupted;
  // What an evaluation may end is recorded first, for it may be the last step.
  const bool may_end = stop_.watches("val") && due(options_.eval_every, false);
  if (due(options_.log_every, last || may_end) || report_.skipped) record_step();
  if (listener_.on_step) listener_.on_step(report_);
  result_.evaluation.clear();
  improved_ = false;
  if (due(options_.eval_every, finished_)) evaluate();
  if (finished_) result_.interrupted = false;
  if (due(options_.save_every, finished_ || last) || improved_) save(finished_ || last);
  if (due(options_.sample_every, finished_)) sample();
}

/// `now`: in this process, not already in the checkpoint that was resumed.
void TrainingRun::end_early(bool now) {
  if (now) metrics_->stop({.step = step_, .cause = reason_->cause, .reason = reason_->text});
  result_.stopped = reason_->text;
  note(fmt::format("step {}: training ends: {}", step_, reason_->text));
}

TrainResult TrainingRun::loop(const io::Json& description, bool resumed) {
  metrics_ = std::make_unique<MetricsWriter>(folder_, resumed ? step_ : 0);
  if (!resumed) write_run_json(folder_, description);
  if (resumed) {
    for (const auto& change : record_resume(folder_, step_, description)) note(change);
  }
  reported_items_ = items_;
  const int64_t begin = step_;
  decide();
  while (!finished_ && !result_.interrupted) {
    step();
    const bool gone = std::exchange(rolled_back_, false);
    if (!gone) {
      look_at_training();
      decide();
    }
    result_.interrupted = stop_requested() && !finished_;
    if (!gone) after_step();
  }
  if (reason_) end_early(step_ > begin);
  result_.step = step_;
  result_.train_loss = guard_.mean(static_cast<size_t>(look_every(options_.log_every)));
  result_.left_out = guard_.left_out();
  if (accelerator_) result_.device = accelerator_->name();
  result_.device_bytes = device_bytes();
  return result_;
}

}  // namespace adder::train
