// One run of training: what train() sets up and then drives step by step. Private to the trainer.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adder/train/accelerator.h"
#include "adder/train/checkpoints.h"
#include "adder/train/device_step.h"
#include "adder/train/early_stop.h"
#include "adder/train/guard.h"
#include "adder/train/metrics.h"
#include "adder/train/optimizer.h"
#include "adder/train/run_folder.h"
#include "adder/train/trainer.h"

namespace adder::train {

class TrainingRun {
 public:
  TrainingRun(Task& task, const TrainOptions& options, const std::filesystem::path& folder,
              const TrainListener& listener)
      : task_(task),
        options_(options),
        folder_(folder),
        listener_(listener),
        lock_(folder),
        checkpoints_(folder, options.keep_last),
        accelerator_(options.device == "cpu" ? nullptr
                                             : open_accelerator(open_device(options.device))),
        optimizer_(task.parameters(), options.optimizer),
        guard_(options.guard),
        stop_(options.stop, options.overfit) {
    look_at_text();
  }

  /// Goes to the newest good checkpoint; false when there is none.
  bool resume();
  TrainResult loop(const io::Json& description, bool resumed);
  bool has_checkpoints() const { return !checkpoints_.empty(); }

 private:
  using Clock = std::chrono::steady_clock;
  nn::Context context(bool training) const;
  /// What one step trains on, and how many predictions that asks for.
  struct Batches {
    std::vector<data::Batch> passes;
    int64_t count = 0;
  };
  Batches next_batches();
  void look_at_text();
  void go_to(const io::Json& cursor);
  /// Loss and gradient norm of a step, and what was made of it.
  struct Outcome {
    double loss = 0, norm = 0;
    Verdict verdict = Verdict::kApply;
  };
  Outcome step_here(const Batches& batches, double lr);
  Outcome step_on_device(const Batches& batches, double lr);
  void step();
  void apply_verdict(Verdict verdict);
  void roll_back(const Checkpoints::Found& found, const std::string& why);
  [[noreturn]] void fail(const std::string& why) const;
  double minutes() const;
  void decide();
  void look_at_training();
  void after_step();
  int64_t device_bytes() const;
  void record_step();
  std::map<std::string, double> held_out(int64_t limit);
  void evaluate();
  void sample();
  io::Json state() const;
  void save(bool last);  // last: what is not saved now is lost
  io::Json restore(const std::filesystem::path& checkpoint);
  void end_early(bool now);
  void note(const std::string& text) const {
    if (listener_.on_note) listener_.on_note(text);
  }
  bool due(int64_t every, bool last) const { return last || (every > 0 && step_ % every == 0); }

  Task& task_;
  const TrainOptions& options_;
  std::filesystem::path folder_;
  const TrainListener& listener_;
  RunLock lock_;
  Checkpoints checkpoints_;
  std::unique_ptr<Accelerator> accelerator_;  // null: this processor trains
  AdamW optimizer_;
  std::unique_ptr<DeviceStep> device_step_;  // made at the first step
  LossGuard guard_;
  EarlyStop stop_;
  std::unique_ptr<MetricsWriter> metrics_;

  int64_t step_ = 0;              // steps done
  int64_t items_ = 0;             // predictions trained on
  std::optional<Batches> ahead_;  // of the next step, read while the device works
  io::Json cursor_;               // where the text stands after this step, whatever was read ahead
  double epochs_ = 0;             // the same
  int64_t saved_step_ = -1;
  double best_loss_ = std::numeric_limits<double>::infinity();
  int64_t best_step_ = -1;
  double candidate_loss_ = 0;                    // of this step's evaluation, when it improved
  int64_t rolled_back_to_ = -1, rollbacks_ = 0;  // how often the guard went back to one checkpoint
  bool rolled_back_ = false;
  bool improved_ = false;  // this step's evaluation is the best so far
  bool finished_ = false;  // nothing is left to do
  std::optional<StopReason> reason_;
  StepReport report_;
  int64_t reported_items_ = 0;
  Clock::time_point reported_at_ = Clock::now();
  Clock::time_point started_ = Clock::now();
  double seconds_before_ = 0;  // of training, before a resume
  TrainResult result_;
};

}  // namespace adder::train
