// adder train RECIPE: trains, fine-tunes, resumes.
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include "adder/base/error.h"
#include "adder/cli/fine_tuning.h"
#include "adder/cli/output.h"
#include "adder/cli/prepare_text.h"
#include "adder/cli/recipe.h"
#include "adder/cli/torch/verbs.h"
#include "adder/cli/word_stream.h"
#include "adder/io/file.h"
#include "adder/train/accelerator.h"
#include "adder/train/checkpoints.h"
#include "adder/train/device_limits.h"
#include "adder/train/metrics.h"
#include "adder/train/next_token.h"
#include "adder/train/opening_device.h"
#include "adder/train/report.h"
#include "adder/train/stop_signals.h"
#include "adder/train/trainer.h"

namespace adder::cli {
namespace {

namespace fs = std::filesystem;

/// "  loss 1.6543  bits per character 2.1870  perplexity 5.2294"
std::string metrics_line(const std::map<std::string, double>& metrics) {
  std::string line;
  for (const auto& [name, value] : metrics) {
    std::string words = name;
    std::ranges::replace(words, '_', ' ');
    const std::string field = fmt::format("  {} {:.4f}", words, value);
    if (name == "loss") line = field + line;
    if (name != "loss" && name != "tokens") line += field;
  }
  return line;
}

/// `rate`: tokens a second, 0 where none was measured yet.
std::string progress_line(const train::StepReport& report, double rate) {
  std::string line =
      fmt::format("loss {:.4f}  perplexity {:.4g}", report.loss, std::exp(report.loss));
  if (rate > 0) line += fmt::format("  {} tokens/s", short_number(rate));
  if (report.lr_factor != 1) line += fmt::format("  lr x {:g}", report.lr_factor);
  return line;
}

/// What the trainer tells, as a bar with lines above it.
train::TrainListener listener_for(Bar& bar) {
  train::TrainListener listener;
  listener.on_step = [&bar, rate = 0.0](const train::StepReport& report) mutable {
    if (report.items_per_s > 0) rate = report.items_per_s;
    bar.update(report.step, progress_line(report, rate));
  };
  listener.on_evaluation = [](int64_t step, const std::map<std::string, double>& metrics) {
    say(fmt::format("step {}  held out{}", step, metrics_line(metrics)));
  };
  listener.on_sample = [](int64_t step, const std::string& text) {
    ScreenText screen(2);
    const std::string words = screen.feed(fmt::format("step {}  sample: {}", step, text));
    say(words + screen.flush());
  };
  listener.on_note = [](const std::string& text) { say("note: " + text); };
  return listener;
}

io::Json result_json(const train::TrainResult& result, const fs::path& run) {
  return {{"run", run.string()},
          {"step", result.step},
          {"interrupted", result.interrupted},
          {"stopped", result.stopped},
          {"left_out", result.left_out},
          {"train_loss", result.train_loss},
          {"evaluation", result.evaluation},
          {"checkpoint", result.checkpoint.string()},
          {"peak_bytes", train::peak_resident_bytes()},
          {"device", result.device},
          {"device_bytes", result.device_bytes}};
}

/// The command that goes on where `words` left off, every flag as it was given.
std::string resume_command(Words words) {
  std::string command = "adder train";
  for (const auto& word : words) {
    const bool plain = word.find_first_of(" \t\n\"'\\$*?&|;<>()[]{}") == std::string::npos;
    command += plain ? " " + word : " '" + word + "'";
  }
  return command + (std::ranges::find(words, "--resume") == words.end() ? " --resume" : "");
}

void say_summary(const train::TrainResult& result, const fs::path& run, Words words,
                 const fs::path& report) {
  if (result.interrupted) {
    say(fmt::format("stopped at step {}; everything is saved. Go on with:\n  {}", result.step,
                    resume_command(words)));
    return;
  }
  say(fmt::format("\ndone: {} steps, loss {:.4f}{}", result.step, result.train_loss,
                  result.evaluation.empty() ? "" : "; held out" + metrics_line(result.evaluation)));
  if (result.left_out > 0) say(fmt::format("  {} bad steps were left out", result.left_out));
  say("  model   " + result.checkpoint.string());
  say(fmt::format("  memory  {} MB at the peak", train::peak_resident_bytes() / 1000000));
  if (result.device_bytes > 0) {
    say(fmt::format("  device  {}, {} MB at the peak", result.device,
                    result.device_bytes / 1000000));
  }
  if (!report.empty()) say("  report  " + report.string());
  say(fmt::format(
      "try next:\n  adder generate {0} --prompt \"The \" --max-new-tokens 200\n  adder chat {0}",
      run.string()));
}

/// A full fine-tuning that is resumed needs nothing of train.init any more: all that it took is in
/// its checkpoints. (Adapters are resumed on top of that model.)
bool start_from_itself(train::Recipe& recipe, const fs::path& run) {
  if (recipe.train.init.empty() || recipe.train.lora.given()) return false;
  const auto checkpoint = train::Checkpoints::newest_whole(run);
  if (checkpoint) recipe.train.init = checkpoint->string();
  return checkpoint.has_value();
}

/// The report is worth a warning, not the run.
fs::path try_report(const fs::path& run) {
  try {
    return train::write_report(run);
  } catch (const Error& error) {
    say(std::string("warning: no report: ") + error.what());
    return {};
  }
}

}  // namespace

int run_train(Words words) {
  std::string file, run, device;
  bool resume = false, print_config = false, json = false;
  LoadedRecipe loaded;
  Arguments args("train RECIPE [--key value ...] [flags]",
                 "Trains what a recipe describes. Any key of the recipe is also a flag.",
                 {"adder train recipes/mamba/quickstart.toml --data.text stories.txt",
                  "adder train recipe.toml --train.lr 3e-4 --run runs/second",
                  "adder train recipe.toml --run runs/second --resume"});
  args.positional("RECIPE", file, "a TOML file");
  args.option("run", run, "folder of the run; empty: runs/NAME of the recipe");
  args.option("resume", resume, "continue from the run's newest good checkpoint");
  args.option("print_config", print_config, "print every value and where it came from, and leave");
  args.option("json", json, "result as JSON on stdout");
  args.option("device", device, "the same as --train.device");
  loaded.add_flags(args);
  if (!args.parse(words)) return 0;
  loaded.read(file, args);
  if (!device.empty()) loaded.set("train.device", device);
  loaded.settle();
  if (print_config) {
    if (json) print_json(loaded.to_json());
    if (!json) print(loaded.print_config());
    return 0;
  }
  const fs::path folder = run.empty() ? fs::path("runs") / fs::path(file).stem() : fs::path(run);
  train::Recipe& recipe = loaded.recipe;
  recipe.check();
  const bool from_itself = resume && start_from_itself(recipe, folder);
  take_starting_model(loaded);
  // What the recipe shows to stand against the device is said before the text is read.
  if (recipe.train.device != "cpu")
    train::check_for_device(recipe.model, recipe.data.mode == "docs");
  train::OpeningDevice device_opening(recipe.train.device);
  auto text = prepare_text(loaded, from_itself, [&] { device_opening.check(); });
  device_opening.wait();
  train::NextTokenTask task(recipe, std::move(text));
  const int64_t parameters = model::parameter_count(task.model().config());
  const int64_t trained = task.trained_count();
  recipe.model = task.model().config();  // as it is trained, with the size of the vocabulary
  const io::Json description = {{"config", loaded.to_json()},
                                {"model", {{"parameters", parameters}, {"trained", trained}}},
                                {"tokenizer", task.tokenizer_json()},
                                {"seed", recipe.train.seed}};
  const std::string adapters =
      recipe.train.lora.given()
          ? fmt::format(", {} in adapters that are trained", short_number(double(trained)))
          : "";
  say(fmt::format("{}: {} parameters{}, {} steps of {} x {} x {} tokens", folder.string(),
                  short_number(static_cast<double>(parameters)), adapters, recipe.train.steps,
                  recipe.train.accumulation, recipe.train.batch_size, recipe.train.length));
  train::install_stop_signals();
  train::TrainResult result;
  {
    Bar bar("training", recipe.train.steps, "step");
    result = train::train(task, recipe.train, folder, resume, description, listener_for(bar));
    bar.finish();
  }
  const fs::path report = try_report(folder);
  if (json) print_json(result_json(result, folder));
  say_summary(result, folder, words, report);
  return 0;
}

}  // namespace adder::cli
