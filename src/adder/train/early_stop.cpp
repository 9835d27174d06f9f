#include "adder/train/early_stop.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "adder/model/option_check.h"
#include "adder/train/guard.h"

namespace adder::train {
namespace {

constexpr int64_t kMostLooks = int64_t{1} << 40;
constexpr int64_t kLookEvery = 10;
const std::vector<std::string> kMetrics = {"none", "val", "train"};

/// JSON has no infinity: null stands for it.
io::Json finite_or_null(double value) {
  return std::isfinite(value) ? io::Json(value) : io::Json();
}

double number_or_infinity(const io::Json& value) {
  return value.is_null() ? std::numeric_limits<double>::infinity() : value.get<double>();
}

}  // namespace

void StopOptions::describe(OptionVisitor& v) {
  v.choice("metric", metric, kMetrics,
           "which loss target_loss and patience look at: none, val (each evaluation) or train (the "
           "mean of each log_every steps)");
  v.field("target_loss", target_loss,
          "nats; training ends when the loss is there; 0: none, 0.5 with train.overfit");
  v.field("patience", patience, "looks in a row without a better loss that end training; 0: never");
  v.field("min_delta", min_delta, "nats that a better loss lies below the best at least");
  v.field("minutes", minutes,
          "of training, after which it ends; 0: no limit. Those before a resume count where there "
          "was a limit then too");
  v.field("epochs", epochs, "times that all of the text is read, then training ends; 0: no limit");
}

void StopOptions::check() const {
  model::require_choice("train.stop.metric", metric, kMetrics);
  model::require_number("train.stop.target_loss", target_loss, 0, 1e6);
  model::require_within("train.stop.patience", patience, 0, kMostLooks);
  model::require_number("train.stop.min_delta", min_delta, 0, 1e6);
  model::require_number("train.stop.minutes", minutes, 0, 1e9);
  model::require_number("train.stop.epochs", epochs, 0, 1e9);
  if (metric != "none") return;
  const auto unread = [](const char* key, const std::string& value) {
    model::fail_option(key, value, "no loss is looked at: set train.stop.metric to val or train");
  };
  if (target_loss > 0) unread("train.stop.target_loss", fmt::format("{}", target_loss));
  if (patience > 0) unread("train.stop.patience", fmt::format("{}", patience));
}

int64_t look_every(int64_t log_every) {
  constexpr auto kMost = static_cast<int64_t>(LossGuard::kWindow);
  return log_every == 0 ? kLookEvery : std::min(log_every, kMost);
}

void EarlyStop::look(int64_t step, double loss) {
  last_ = loss;
  if (loss < best_ - options_.min_delta) {  // never of a NaN
    best_ = loss;
    best_step_ = step;
    looks_since_best_ = 0;
  } else {
    ++looks_since_best_;
  }
}

std::optional<StopReason> EarlyStop::reason(double minutes, double epochs) const {
  const char* name = watches("val") ? "held-out loss" : "training loss";
  if (options_.target_loss > 0 && last_ <= options_.target_loss) {
    return StopReason{
        "target_loss",
        fmt::format("{}the {} of {:.4f} nats has reached the target of {}",
                    memorise_ ? "memorised: " : "", name, last_, options_.target_loss)};
  }
  if (options_.patience > 0 && looks_since_best_ >= options_.patience) {
    const std::string by =
        options_.min_delta > 0 ? fmt::format("{} nats ", options_.min_delta) : "";
    return StopReason{"patience",
                      fmt::format("no {} in {} looks was {}better than the {:.4f} of step {}", name,
                                  looks_since_best_, by, best_, best_step_)};
  }
  if (options_.minutes > 0 && minutes >= options_.minutes) {
    return StopReason{"minutes", fmt::format("{} minutes of training are over", options_.minutes)};
  }
  if (options_.epochs > 0 && epochs >= options_.epochs) {
    return StopReason{"epochs", fmt::format("the text was read {} times", options_.epochs)};
  }
  return std::nullopt;
}

io::Json EarlyStop::state() const {
  return {{"metric", options_.metric},
          {"last", finite_or_null(last_)},
          {"best", finite_or_null(best_)},
          {"best_step", best_step_},
          {"looks_since_best", looks_since_best_}};
}

void EarlyStop::restore(const io::Json& state) {
  if (state.value("metric", "") != options_.metric) {
    *this = EarlyStop(options_, memorise_);
    return;
  }
  last_ = number_or_infinity(state.at("last"));
  best_ = number_or_infinity(state.at("best"));
  best_step_ = state.at("best_step").get<int64_t>();
  looks_since_best_ = state.at("looks_since_best").get<int64_t>();
}

}  // namespace adder::train
