// When training ends before its last step: the loss is low enough or falls no more, or the time or
// the text is used up. A pure function of what it was shown, so a resumed run ends where the
// uninterrupted one does (but for `minutes`, which no two runs share).
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "adder/base/options.h"
#include "adder/io/json.h"

namespace adder::train {

/// [train.stop]. A "look" is, with metric val, an evaluation on the way (train.eval_every), and
/// with metric train, the mean training loss of the last train.log_every steps each time they are
/// through (look_every()).
struct StopOptions {
  std::string metric = "none";  // none | val | train: which loss is looked at
  double target_loss = 0;       // nats; a look at or below it ends training; 0: none
  int64_t patience = 0;         // looks in a row without a better loss that end it; 0: never
  double min_delta = 0;         // nats; what a better loss is at least below the best
  double minutes = 0;           // of training; 0: no limit. Those before a resume count where
                                // there was a limit then too
  double epochs = 0;            // times that all of the text is read; 0: no limit
  void describe(OptionVisitor& v);
  void check() const;  // throws kConfig naming the key
};

/// What training to memorise aims at where no target is given: below it a word-level model repeats
/// its text (the README of YS-71M).
inline constexpr double kMemorisedLoss = 0.5;

/// Steps between looks at the training loss, and how many of them a look is the mean of: log_every,
/// 10 where nothing is logged on the way, and never more than LossGuard remembers.
int64_t look_every(int64_t log_every);

struct StopReason {
  std::string cause;  // "target_loss", "patience", "minutes", "epochs"
  std::string text;   // for people
};

class EarlyStop {
 public:
  /// `memorise`: reaching the target is what is wanted, and is called so.
  EarlyStop(const StopOptions& options, bool memorise) : options_(options), memorise_(memorise) {}

  bool watches(const char* metric) const { return options_.metric == metric; }
  /// The watched loss after `step` steps.
  void look(int64_t step, double loss);

  /// Why to end now, if at all. `epochs`: how often all of the text was read.
  std::optional<StopReason> reason(double minutes, double epochs) const;

  io::Json state() const;
  /// Looks at another metric than options.metric are forgotten.
  void restore(const io::Json& state);

 private:
  StopOptions options_;
  bool memorise_;
  double last_ = std::numeric_limits<double>::infinity();
  double best_ = std::numeric_limits<double>::infinity();
  int64_t best_step_ = 0;
  int64_t looks_since_best_ = 0;
};

}  // namespace adder::train
