// The training loop: batches in, checkpoints, metrics and samples out. It resumes bit for bit and
// survives being killed at any moment.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "adder/io/json.h"
#include "adder/train/options.h"
#include "adder/train/task.h"

namespace adder::train {

/// What a step did.
struct StepReport {
  int64_t step = 0;   // 1 for the first
  int64_t items = 0;  // predictions trained on since the start of the run ("tokens")
  double loss = 0;    // nats, mean of the step
  double lr = 0;
  double grad_norm = 0;    // before clipping
  double items_per_s = 0;  // since the report before
  bool skipped = false;    // the guard left the step out
  double lr_factor = 1;    // what the guard made of the schedule's rate; in `lr` already
};

/// What a program hears of training; all optional.
struct TrainListener {
  std::function<void(const StepReport&)> on_step;
  std::function<void(int64_t step, const std::map<std::string, double>&)> on_evaluation;
  std::function<void(int64_t step, const std::string&)> on_sample;
  std::function<void(int64_t step, const std::filesystem::path&)> on_checkpoint;
  std::function<void(const std::string&)> on_note;  // skipped steps, roll-backs, failed saves
};

struct TrainResult {
  int64_t step = 0;
  bool interrupted = false;  // SIGINT or SIGTERM: saved and left
  std::string stopped;       // why [train.stop] ended it; empty: it did not
  int64_t left_out = 0;      // steps that the guard left out
  double train_loss = 0;     // mean of the last look_every() steps
  std::map<std::string, double> evaluation;
  std::filesystem::path checkpoint;  // the last one written
  std::string device;                // name of the one that trained; empty: this processor
  int64_t device_bytes = 0;          // the most it held
};

/// Trains `task` for options.steps steps inside `run_folder` (made if missing): run.json,
/// metrics.jsonl, TensorBoard events, checkpoints/, samples/. `resume`: continue from the newest
/// good checkpoint; without it a folder that holds checkpoints is kUsage. `description`: the whole
/// recipe, for run.json.
TrainResult train(Task& task, const TrainOptions& options, const std::filesystem::path& run_folder,
                  bool resume, const io::Json& description, const TrainListener& listener);

}  // namespace adder::train
