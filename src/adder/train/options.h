// What a recipe says: its text, its model, how it is trained. Any key is also a flag of `adder
// train`.
#pragma once

#include <cstdint>
#include <string>

#include "adder/base/options.h"
#include "adder/data/prepare.h"
#include "adder/model/config.h"
#include "adder/model/lora.h"
#include "adder/train/early_stop.h"

namespace adder::train {

/// AdamW (Loshchilov & Hutter, arXiv 1711.05101). Decay applies to the tensors that `model` flags.
struct OptimizerOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;
  double clip = 1.0;  // of the global gradient norm; 0: none
  void describe(OptionVisitor& v);
  void check() const;  // this and the others: throws kConfig naming the key ("train.lr")
};

/// Learning rate over the steps, as a factor of lr.
struct ScheduleOptions {
  std::string schedule = "cosine";  // cosine | wsd | constant
  int64_t warmup_steps = 100;
  double final_lr = 0.1;        // what cosine and wsd end at, as a fraction of lr
  double decay_fraction = 0.2;  // wsd: the last share of the steps, in which the rate falls
  void describe(OptionVisitor& v);
  void check() const;
};

/// What to do when a step's loss or gradient is not finite, or its loss leaves the recent range.
struct GuardOptions {
  std::string on_nan = "skip";      // stop | skip | rollback
  std::string on_spike = "ignore";  // ignore | stop | skip | rollback
  double spike_sigma = 6;           // deviations above the mean of the last 128 losses
  int64_t halve_lr_after = 3;       // bad steps in a row that halve the learning rate; 0: never
  int64_t max_skips = 10;           // bad steps in a row before training stops
  void describe(OptionVisitor& v);
  void check() const;
};

struct TrainOptions {
  int64_t steps = 1000;
  int64_t batch_size = 8;    // sequences in one forward pass
  int64_t length = 256;      // tokens in a sequence
  int64_t accumulation = 1;  // forward passes in one step
  std::string compute =
      "f32";  // f32 | bf16: type of activations and matrix products; weights stay fp32
  bool checkpoint_activations = false;
  std::string device = "cpu";  // cpu | cuda
  int64_t seed = 1;
  int64_t threads = 0;        // 0: every core
  std::string init;           // model directory to start from (fine-tuning); empty: fresh weights
  bool extend_vocab = false;  // of `init`: the text's new words get tokens, rows of their own
  model::LoraOptions lora;    // of `init`: adapters are trained in its place
  double z_loss = 0, label_smoothing = 0;
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  GuardOptions guard;
  StopOptions stop;
  bool overfit = false;  // memorise the text: nothing is held out, the training loss ends it
  int64_t log_every = 10;
  int64_t eval_every = 0;  // steps; 0: at the end only
  int64_t eval_windows =
      0;                   // windows an evaluation on the way reads; 0: all. The last one reads all
  int64_t save_every = 0;  // steps; 0: at the end only
  int64_t keep_last = 3;   // checkpoints kept beside the best
  int64_t sample_every = 0;  // steps; 0: at the end only
  std::string sample_prompt;
  int64_t sample_tokens = 200;
  void describe(OptionVisitor& v);
  void check() const;
};

struct Recipe {
  data::DataOptions data;
  model::ModelConfig model;
  TrainOptions train;
  void describe(OptionVisitor& v);  // groups "data", "model", "train"
  /// Puts what train.overfit means into the options that were left open: nothing held out,
  /// stop.metric train, stop.target_loss kMemorisedLoss. Before check().
  void settle();
  /// Throws kConfig for training and model options that do not fit. A vocabulary of 0, and a model
  /// that train.init replaces, are left to the caller.
  void check() const;
};

}  // namespace adder::train
