#include "adder/train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <limits>
#include <utility>
#include <vector>

#include "adder/base/error.h"
#include "adder/io/file.h"
#include "adder/train/checkpoints.h"
#include "adder/train/guard.h"
#include "adder/train/metrics.h"
#include "adder/train/optimizer.h"
#include "adder/train/run_folder.h"
#include "adder/train/schedule.h"

namespace adder::train {

namespace {

namespace fs = std::filesystem;

std::atomic<bool> stop_asked{false};

void ask_to_stop(int signal) {
  if (stop_asked.exchange(true)) {  // the second time: at once
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

/// Loss sum and number of predictions of a step.
struct StepLoss {
  double sum = 0;
  int64_t count = 0;
  /// NaN when the batches ask for nothing: the guard leaves such a step out.
  double mean() const { return sum / static_cast<double>(count); }
};

/// One run of training: what train() sets up and then drives step by step.
class Run {
 public:
  Run(Task& task, const TrainOptions& options, const fs::path& folder,
      const TrainListener& listener)
      : task_(task),
        options_(options),
        folder_(folder),
        listener_(listener),
        lock_(folder),
        checkpoints_(folder, options.keep_last),
        optimizer_(task.parameters(), options.optimizer),
        guard_(options.guard) {}

  /// Goes to the newest good checkpoint; false when there is none.
  bool resume();
  TrainResult loop(const io::Json& description, bool resumed);
  bool has_checkpoints() const { return !checkpoints_.empty(); }

 private:
  nn::Context context(bool training) const;
  StepLoss forward_backward();
  void step();
  void apply_verdict(Verdict verdict);
  [[noreturn]] void stop(const std::string& why) const;
  void after_step(bool last);
  void evaluate(bool last);
  void sample();
  void save(bool last);  // last: what is not saved now is lost
  void restore(const fs::path& checkpoint);
  void note(const std::string& text) const {
    if (listener_.on_note) listener_.on_note(text);
  }
  bool due(int64_t every, bool last) const { return last || (every > 0 && step_ % every == 0); }

  Task& task_;
  const TrainOptions& options_;
  fs::path folder_;
  const TrainListener& listener_;
  RunLock lock_;
  Checkpoints checkpoints_;
  AdamW optimizer_;
  LossGuard guard_;
  std::unique_ptr<MetricsWriter> metrics_;

  int64_t step_ = 0;   // steps done
  int64_t items_ = 0;  // predictions trained on
  int64_t saved_step_ = -1;
  double best_loss_ = std::numeric_limits<double>::infinity();
  int64_t best_step_ = -1;
  double candidate_loss_ = 0;                    // of this step's evaluation, when it improved
  int64_t rolled_back_to_ = -1, rollbacks_ = 0;  // how often the guard went back to one checkpoint
  bool rolled_back_ = false;
  bool improved_ = false;  // this step's evaluation is the best so far
  StepReport report_;
  int64_t reported_items_ = 0;
  std::chrono::steady_clock::time_point reported_at_ = std::chrono::steady_clock::now();
  TrainResult result_;
};

nn::Context Run::context(bool training) const {
  nn::Context context;
  context.compute = options_.compute == "bf16" ? at::kBFloat16 : at::kFloat;
  context.checkpoint = training && options_.checkpoint_activations;
  return context;
}

StepLoss Run::forward_backward() {
  std::vector<data::Batch> batches;
  StepLoss loss;
  for (int64_t i = 0; i < options_.accumulation; ++i) {
    batches.push_back(task_.next());
    loss.count += task_.count(batches.back());
  }
  for (const data::Batch& batch : batches) {
    nn::Context forward = context(true);
    const at::Tensor sum = task_.loss_sum(batch, forward);
    torch::autograd::backward({sum / static_cast<double>(std::max<int64_t>(1, loss.count))}, {});
    loss.sum += sum.item<double>();
  }
  return loss;
}

void Run::step() {
  const double lr =
      options_.optimizer.lr * learning_rate_factor(options_.schedule, step_, options_.steps);
  const StepLoss loss = forward_backward();
  const double norm = gradient_norm(task_.parameters().tensors());
  ++step_;
  items_ += loss.count;
  report_ = {step_, items_, loss.mean(), lr, norm, 0, false};
  const Verdict verdict = guard_.judge(report_.loss, norm);
  if (verdict == Verdict::kApply) {
    const double clip = options_.optimizer.clip;
    optimizer_.step(lr, clip > 0 && norm > clip ? clip / norm : 1.0);
  } else {
    optimizer_.clear_gradients();
    report_.skipped = true;
    apply_verdict(verdict);
  }
}

void Run::stop(const std::string& why) const {
  throw Error(
      ErrorKind::kNumeric,
      {.what = "training went astray",
       .where = folder_.string(),
       .why = why,
       .next =
           "lower train.lr or raise train.warmup_steps; the last good checkpoint still stands"});
}

void Run::apply_verdict(Verdict verdict) {
  const std::string what = fmt::format("step {}: {}", step_, guard_.reason());
  if (verdict == Verdict::kStop) stop(what);
  if (verdict == Verdict::kRollBack) {
    if (const auto found = checkpoints_.newest_good()) {
      const io::Json cursor = task_.cursor();  // go back, but on to text not seen yet
      const int64_t items = items_;
      rollbacks_ = found->step == rolled_back_to_ ? rollbacks_ + 1 : 1;
      rolled_back_to_ = found->step;
      if (rollbacks_ >= options_.guard.max_skips) stop(what);
      restore(found->folder);
      task_.seek(cursor);
      items_ = items;
      metrics_ = std::make_unique<MetricsWriter>(folder_, step_);
      rolled_back_ = true;
      note(what + fmt::format("; back to the checkpoint of step {}", step_));
      return;
    }
  }
  note(what + "; the step is left out");
}

void Run::evaluate(bool last) {
  nn::Context forward = context(false);
  result_.evaluation = task_.evaluate(options_.eval_windows, forward);
  improved_ = result_.evaluation.contains("loss") && result_.evaluation.at("loss") < best_loss_;
  if (improved_) candidate_loss_ = result_.evaluation.at("loss");
  // The last one reads everything; the best is chosen among evaluations of the same text.
  if (last && options_.eval_windows > 0) result_.evaluation = task_.evaluate(0, forward);
  if (result_.evaluation.empty()) return;
  metrics_->evaluation(step_, result_.evaluation);
  if (listener_.on_evaluation) listener_.on_evaluation(step_, result_.evaluation);
}

void Run::sample() {
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

void Run::save(bool last) {
  if (saved_step_ == step_) return;
  const double best_loss = improved_ ? candidate_loss_ : best_loss_;
  const int64_t best_step = improved_ ? step_ : best_step_;
  int64_t parameter_bytes = 0;
  for (const at::Tensor& parameter : task_.parameters().tensors()) {
    parameter_bytes += static_cast<int64_t>(parameter.nbytes());
  }
  const auto fill = [&](const fs::path& folder) {
    task_.save(folder.string());
    optimizer_.save(folder / "optimizer.safetensors");
    io::write_json_file(folder / "trainer.json",
                        {{"step", step_},
                         {"items", items_},
                         {"best_loss", std::isfinite(best_loss) ? io::Json(best_loss) : io::Json()},
                         {"best_step", best_step},
                         {"task", task_.identity()},
                         {"cursor", task_.cursor()},
                         {"guard", guard_.state()}});
  };
  try {
    result_.checkpoint = checkpoints_.save(step_, 3 * parameter_bytes + task_.frozen_bytes(), fill);
    saved_step_ = step_;
    best_loss_ = best_loss;
    best_step_ = best_step;
    if (improved_) checkpoints_.mark_best(step_);
    if (listener_.on_checkpoint) listener_.on_checkpoint(step_, result_.checkpoint);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kIo || last) throw;
    note(fmt::format("step {}: the checkpoint could not be written, training goes on\n{}", step_,
                     error.what()));
  }
}

/// Throws kConfig when the checkpoint was made by another task than this one, naming what differs.
void check_identity(const io::Json& stored, const io::Json& mine, const fs::path& file) {
  const auto text = [](const io::Json& identity, const std::string& key) {
    return identity.contains(key) ? identity.at(key).dump() : "not there";
  };
  const auto compare = [&](const std::string& key) {
    const std::string was = text(stored, key), is = text(mine, key);
    if (was == is) return;
    throw Error(ErrorKind::kConfig,
                {.what = "the run cannot be continued with another " + key,
                 .where = file.string(),
                 .why = "it was " + was + ", now it is " + is,
                 .next = "use the recipe and flags the run was started with (run.json has them), "
                         "or start a new run, from these weights with train.init"});
  };
  // What both have says best what is wrong.
  for (const auto& item : mine.items()) {
    if (stored.contains(item.key())) compare(item.key());
  }
  for (const auto& item : mine.items()) compare(item.key());
  for (const auto& item : stored.items()) compare(item.key());
}

void Run::restore(const fs::path& checkpoint) {
  const fs::path file = checkpoint / "trainer.json";
  const io::Json json = io::read_json_file(file);
  const io::JsonView view(json, file.string());
  check_identity(view.at("task").json(), task_.identity(), file);
  task_.load(checkpoint.string());
  optimizer_.load(checkpoint / "optimizer.safetensors");
  step_ = view.at("step").as_integer(0);
  items_ = view.at("items").as_integer(0);
  if (view.has("best_loss")) best_loss_ = view.at("best_loss").as_number();
  best_step_ = view.at("best_step").as_integer(-1);
  // A kill may have come between a checkpoint and its mark.
  if (best_step_ == step_) checkpoints_.mark_best(step_);
  task_.seek(view.at("cursor").json());
  guard_.restore(view.at("guard").json());
  saved_step_ = step_;
  result_.checkpoint = checkpoint;
}

bool Run::resume() {
  const auto found = checkpoints_.newest_good();
  if (!found) return false;
  if (!found->skipped.empty())
    note("a newer checkpoint is damaged and left aside:\n" + found->skipped);
  restore(found->folder);
  return true;
}

void Run::after_step(bool last) {
  if (std::exchange(rolled_back_, false)) return;  // the step is gone
  if (due(options_.log_every, last) || report_.skipped) {
    const auto now = std::chrono::steady_clock::now();
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
                    .skipped = report_.skipped});
  }
  if (listener_.on_step) listener_.on_step(report_);
  const bool finished = step_ >= options_.steps;
  result_.evaluation.clear();
  improved_ = false;
  if (due(options_.eval_every, finished)) evaluate(finished);
  if (due(options_.save_every, last) || improved_) save(last);
  if (due(options_.sample_every, finished)) sample();
}

TrainResult Run::loop(const io::Json& description, bool resumed) {
  metrics_ = std::make_unique<MetricsWriter>(folder_, resumed ? step_ : 0);
  if (!resumed) write_run_json(folder_, description);
  if (resumed) {
    for (const auto& change : record_resume(folder_, step_, description)) note(change);
  }
  reported_items_ = items_;
  while (step_ < options_.steps && !result_.interrupted) {
    step();
    result_.interrupted = stop_asked.load() && step_ < options_.steps;
    after_step(result_.interrupted || step_ >= options_.steps);
  }
  result_.step = step_;
  result_.train_loss = guard_.mean();
  return result_;
}

}  // namespace

void install_stop_signals() {
  std::signal(SIGINT, &ask_to_stop);
  std::signal(SIGTERM, &ask_to_stop);
}

void reset_stop_request() {
  stop_asked = false;
}

TrainResult train(Task& task, const TrainOptions& options, const fs::path& run_folder, bool resume,
                  const io::Json& description, const TrainListener& listener) {
  if (options.threads > 0) at::set_num_threads(static_cast<int>(options.threads));
  Run run(task, options, run_folder, listener);
  if (!resume && run.has_checkpoints()) {
    throw Error(ErrorKind::kUsage,
                {.what = "the folder already holds a run",
                 .where = run_folder.string(),
                 .next = "continue it with --resume, or choose another folder with --run"});
  }
  if (resume && !run.resume()) {
    throw Error(ErrorKind::kNotFound, {.what = "there is no checkpoint to resume from",
                                       .where = run_folder.string(),
                                       .next = "check --run, or start the run without --resume"});
  }
  return run.loop(description, resume);
}

}  // namespace adder::train
