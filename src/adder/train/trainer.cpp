#include "adder/train/trainer.h"

#include <ATen/Parallel.h>

#include "adder/base/error.h"
#include "adder/train/training_run.h"

namespace adder::train {
namespace {

/// Only the task knows what shards made elsewhere hold out.
void check_held_out(const Task& task, const TrainOptions& options) {
  const bool held_out = task.holds_out();
  if (options.stop.metric == "val" && !held_out) {
    throw Error(ErrorKind::kConfig, {.what = "there is no held-out loss to look at",
                                     .where = "train.stop.metric = val",
                                     .why = "nothing is held out",
                                     .next = "hold some text out, or look at train"});
  }
  if (options.overfit && held_out) {
    throw Error(ErrorKind::kConfig,
                {.what = "a part of the text is held out, and all of it is to be memorised",
                 .where = "train.overfit = true",
                 .why = "the token shards were written with a held-out part",
                 .next = "write them without one, or leave train.overfit out"});
  }
}

}  // namespace

TrainResult train(Task& task, const TrainOptions& options, const std::filesystem::path& run_folder,
                  bool resume, const io::Json& description, const TrainListener& listener) {
  if (options.threads > 0) at::set_num_threads(static_cast<int>(options.threads));
  check_held_out(task, options);
  TrainingRun run(task, options, run_folder, listener);
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
