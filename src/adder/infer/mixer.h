// What a mixer does, one step after another. One file a kind; the table is in mixer.cpp.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "adder/base/parallel.h"
#include "adder/infer/arena.h"
#include "adder/infer/state.h"
#include "adder/model/directory.h"

namespace adder::infer {

class Mixer {
 public:
  virtual ~Mixer() = default;

  /// Many tokens of one sequence: x, y (length, d_model) f32, dense. Advances the arrays of `layer`
  /// in `state`.
  virtual void prefill(const float* x, int64_t length, State& state, float* y, Arena& arena,
                       const Parallel& parallel) const = 0;
  /// One token of each of states.size() sequences: x, y (states.size(), d_model).
  virtual void step(const float* x, std::span<State* const> states, float* y, Arena& arena,
                    const Parallel& parallel) const = 0;
  /// Puts learned initial values into a new state; most mixers have none.
  virtual void start(State&) const {}
};

/// The mixer of `layer`, reading "backbone.layers.L.mixer.*". Throws kUnsupported for a kind that
/// has no file here yet.
std::unique_ptr<Mixer> make_mixer(const model::ModelConfig& config, int64_t layer,
                                  const model::Weights& weights);

}  // namespace adder::infer
