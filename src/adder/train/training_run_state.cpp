// What a run keeps in its checkpoints, and how it goes back to one.
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cmath>

#include "adder/base/error.h"
#include "adder/train/identity.h"
#include "adder/train/tensors.h"
#include "adder/train/training_run.h"

namespace adder::train {

namespace fs = std::filesystem;

/// What trainer.json of a checkpoint holds.
io::Json TrainingRun::state() const {
  const double best_loss = improved_ ? candidate_loss_ : best_loss_;
  io::Json json = {{"step", step_},
                   {"items", items_},
                   {"best_loss", std::isfinite(best_loss) ? io::Json(best_loss) : io::Json()},
                   {"best_step", improved_ ? step_ : best_step_},
                   {"task", task_.identity()},
                   {"cursor", cursor_},
                   {"guard", guard_.state()},
                   {"stop", stop_.state()}};
  // Only where it counts: else equal runs have equal checkpoints.
  if (options_.stop.minutes > 0) json["seconds"] = 60 * minutes();
  return json;
}

void TrainingRun::save(bool last) {
  if (saved_step_ == step_) return;
  int64_t parameter_bytes = 0;
  for (const at::Tensor& parameter : task_.parameters().tensors()) {
    parameter_bytes += static_cast<int64_t>(parameter.nbytes());
  }
  if (!all_finite(task_.parameters().tensors())) {  // the guard hears of it at the next step
    const std::string what = fmt::format("step {}: the weights are not finite, ", step_);
    if (last) fail(what + "so they are not saved");
    return note(what + "no checkpoint is written");
  }
  const io::Json trainer = state();
  const auto fill = [&](const fs::path& folder) {
    task_.save(folder.string());
    optimizer_.save(folder / "optimizer.safetensors");
    io::write_json_file(folder / "trainer.json", trainer);
  };
  try {
    result_.checkpoint = checkpoints_.save(step_, 3 * parameter_bytes + task_.frozen_bytes(), fill);
    saved_step_ = step_;
    if (improved_) {
      best_loss_ = candidate_loss_;
      best_step_ = step_;
      checkpoints_.mark_best(step_);
    }
    if (listener_.on_checkpoint) listener_.on_checkpoint(step_, result_.checkpoint);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kIo || last) throw;
    note(fmt::format("step {}: the checkpoint could not be written, training goes on\n{}", step_,
                     error.what()));
  }
}

/// To this place in the text.
void TrainingRun::go_to(const io::Json& cursor) {
  task_.seek(cursor);
  ahead_.reset();
  look_at_text();
}

/// All but what the guard and the clock know; gives trainer.json.
io::Json TrainingRun::restore(const fs::path& checkpoint) {
  const fs::path file = checkpoint / "trainer.json";
  io::Json json = io::read_json_file(file);
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
  go_to(view.at("cursor").json());
  if (view.has("stop")) stop_.restore(view.at("stop").json());  // those of 0.1 have none
  saved_step_ = step_;
  result_.checkpoint = checkpoint;
  return json;
}

bool TrainingRun::resume() {
  const auto found = checkpoints_.newest_good();
  if (!found) return false;
  if (!found->skipped.empty())
    note("a newer checkpoint is damaged and left aside:\n" + found->skipped);
  const io::Json then = restore(found->folder);
  guard_.restore(then.at("guard"));
  seconds_before_ = then.value("seconds", 0.0);
  return true;
}

/// Goes back to a checkpoint, but on to text not seen yet.
void TrainingRun::roll_back(const Checkpoints::Found& found, const std::string& why) {
  const io::Json cursor = cursor_;
  const int64_t items = items_;
  rollbacks_ = found.step == rolled_back_to_ ? rollbacks_ + 1 : 1;
  rolled_back_to_ = found.step;
  if (rollbacks_ >= options_.guard.max_skips) fail(why);
  const io::Json then = restore(found.folder);
  guard_.roll_back(then.at("guard"), rollbacks_);
  go_to(cursor);
  items_ = items;
  metrics_ = std::make_unique<MetricsWriter>(folder_, step_);
  rolled_back_ = true;
}

}  // namespace adder::train
