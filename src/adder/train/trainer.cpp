#include "adder/train/trainer.h"

#include <ATen/Parallel.h>

#include "adder/base/error.h"
#include "adder/train/training_run.h"

namespace adder::train {

TrainResult train(Task& task, const TrainOptions& options, const std::filesystem::path& run_folder,
                  bool resume, const io::Json& description, const TrainListener& listener) {
  if (options.threads > 0) at::set_num_threads(static_cast<int>(options.threads));
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
