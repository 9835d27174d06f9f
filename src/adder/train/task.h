// A task: what is learnt. It yields batches of named arrays and owns the loss and the metrics; the
// trainer knows nothing else of what it trains.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "adder/data/array.h"
#include "adder/io/json.h"
#include "adder/nn/context.h"
#include "adder/nn/parameters.h"
#include "adder/train/tensors.h"

namespace adder::train {

class Task {
 public:
  virtual ~Task() = default;

  /// What is trained.
  virtual nn::Parameters& parameters() = 0;

  /// The next training batch; where the batches stand, and going back there.
  virtual data::Batch next() = 0;
  virtual io::Json cursor() const = 0;
  virtual void seek(const io::Json& cursor) = 0;
  /// How often all that is trained on was read, as a fraction; 0 where a task cannot say.
  virtual double epochs() const { return 0; }

  /// What a resumed run must share with the one it continues: model, data, order. A flat object.
  virtual io::Json identity() const = 0;

  /// How many predictions the batch asks for: the loss is a mean over these.
  virtual int64_t count(const data::Batch& batch) const = 0;
  /// Bits for what decides, beside the shapes of the arrays, which operations loss_sum() takes: on
  /// a device a step is recorded once and run again on other batches of the same traits. A batch
  /// may be given with more bits than it has.
  virtual uint32_t traits(const data::Batch& /*batch*/) const { return 0; }
  /// The summed loss of the batch (a scalar to differentiate), which lies where the parameters do.
  /// The context brings the compute type. Does not look at what the tensors hold: on a device that
  /// would wait for it.
  virtual at::Tensor loss_sum(const TensorBatch& batch, nn::Context& context) = 0;

  /// Whether anything is held out, which evaluate() reads.
  virtual bool holds_out() const = 0;
  /// Held-out metrics; "loss" (lower is better) chooses the best checkpoint. Empty: nothing is held
  /// out. `limit`: how much to read (0: all).
  virtual std::map<std::string, double> evaluate(int64_t limit, nn::Context& context) = 0;

  /// A look at what the model does now ("" where a task has none).
  virtual std::string sample(uint64_t seed) = 0;

  /// Writes the model as a directory that other verbs read.
  virtual void save(const std::string& folder) const = 0;
  /// Bytes that save() writes beside those of parameters(): a model that is not trained itself.
  virtual int64_t frozen_bytes() const { return 0; }
  /// Reads the weights back from such a directory.
  virtual void load(const std::string& folder) = 0;
};

}  // namespace adder::train
