// What a recipe will need before it is run: parameters, arithmetic, memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "adder/io/json.h"
#include "adder/model/config.h"
#include "adder/train/options.h"

namespace adder::train {

struct PlanPart {
  std::string name;  // "gradients"
  double amount;     // parameters or bytes
  std::string note;  // what it is made of
};

struct Plan {
  std::vector<PlanPart> parameters;  // embedding, mixers, norms, head; exact
  int64_t parameter_count = 0;
  int64_t trained_count = 0;  // the same, less where some are constant, or those of the adapters
  std::string trained_note;   // why it is not the same
  double forward_flops = 0;   // for one token
  double training_flops = 0;  // for one token: three forward passes, four with recomputation; with
                              // adapters less
  double tokens_per_step = 0, total_tokens = 0;
  std::vector<PlanPart> memory;  // bytes at the moment when most is held
  double peak_bytes = 0;         // their sum: the process's peak resident memory
};

/// `threads` 0 in the options: as many as the process has. Throws kConfig for a model that does not
/// fit together (vocab_size 0 included: the caller asks the tokenizer).
Plan make_plan(const model::ModelConfig& config, const TrainOptions& options);

/// The largest batch_size whose peak stays within `bytes`; 0 when not even 1 does.
int64_t largest_batch(const model::ModelConfig& config, TrainOptions options, double bytes);

io::Json plan_json(const Plan& plan);
/// Tables for a terminal.
std::string plan_text(const Plan& plan);

}  // namespace adder::train
