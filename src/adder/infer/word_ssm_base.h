// What the forms of YS-71M's layer share at inference: one way through the tokens for texts and for
// steps, and the read-out of a matrix that never exists for all of them.
#pragma once

#include <algorithm>
#include <string>

#include "adder/infer/for_rows.h"
#include "adder/infer/linear.h"
#include "adder/infer/mixer.h"
#include "adder/infer/views.h"
#include "adder/kernels/linear.h"
#include "adder/model/word_ssm_spec.h"

namespace adder::infer {

class WordSsm : public Mixer {
 public:
  void prefill(const float* x, int64_t length, State& state, float* y, Arena& arena,
               const Parallel& parallel) const final {
    State* const one[] = {&state};
    run({x, length, one, y, arena, parallel});
  }
  void step(const float* x, std::span<State* const> states, float* y, Arena& arena,
            const Parallel& parallel) const final {
    run({x, static_cast<int64_t>(states.size()), states, y, arena, parallel});
  }

 protected:
  /// Tokens in order: all of one sequence, or one of each of several. A loop that takes the rows in
  /// order and asks for the state of each serves both.
  struct Pass {
    const float* x;  // (count, d_model)
    int64_t count;
    std::span<State* const> states;
    float* y;  // (count, d_out)
    Arena& arena;
    const Parallel& parallel;
  };
  virtual void run(const Pass& pass) const = 0;

  WordSsm(const model::ModelConfig& config, int64_t layer)
      : spec_(static_cast<const model::WordSsmSpec&>(config.mixer(layer))),
        layer_(layer),
        width_(config.d_model),
        states_(spec_.states_of(config.d_model)),
        outputs_(spec_.d_out(config.place(layer))) {}

  /// The state array that the token of this row reads and writes.
  float* state(const Pass& pass, int64_t row) const {
    return pass.states[pass.states.size() == 1 ? 0 : static_cast<std::size_t>(row)]->array(layer_,
                                                                                           0);
  }

  /// body(token, threads) for some tokens: those of one sequence in order, with all threads each.
  template <typename Body>
  static void for_tokens(const Pass& pass, int64_t first, int64_t some, const Body& body) {
    if (pass.states.size() > 1) {
      for_rows(some, pass.parallel,
               [&](int64_t row, const Parallel& threads) { body(first + row, threads); });
      return;
    }
    for (int64_t t = first; t < first + some; ++t) body(t, pass.parallel);
  }

  /// `linear` of every token, in the arena.
  static float* project(const Pass& pass, const Linear& linear) {
    float* result = pass.arena.take(pass.count * linear.out());
    linear.run(rows(pass.x, pass.count, linear.in()), rows(result, pass.count, linear.out()),
               pass.parallel);
    return result;
  }

  model::WordSsmSpec spec_;
  int64_t layer_;
  int64_t width_, states_, outputs_;  // d_model, d_state, d_out
};

/// Floats of an array of a matrix for each of some tokens, at most (where one fits).
constexpr int64_t kMatrixFloats = int64_t{1} << 20;

/// How many of `count` can be had together at `floats` each.
inline int64_t at_once(int64_t count, int64_t floats) {
  return std::clamp<int64_t>(kMatrixFloats / floats, 1, count);
}

/// y = bias + P W^T, where P (count, rows * columns) is made some rows of its matrices at a time:
/// fill(first, some, P) writes (count, some * columns). weight (outputs, rows * columns).
template <typename Fill>
void read_out(const kernels::View<2>& weight, const kernels::View<1>& bias, int64_t matrix_rows,
              const kernels::View<2>& y, Arena& arena, const Parallel& parallel, const Fill& fill) {
  const int64_t count = y.size[0], outputs = y.size[1];
  const int64_t columns = weight.size[1] / matrix_rows;
  const int64_t most = at_once(matrix_rows, count * columns);
  const Arena::Scope scope(arena);
  float* matrices = arena.take(count * most * columns);
  const kernels::View<2> part = rows(arena.take(count * outputs), count, outputs);
  for (int64_t first = 0; first < matrix_rows; first += most) {
    const int64_t some = std::min(most, matrix_rows - first), wide = some * columns;
    fill(first, some, matrices);
    const auto offset = static_cast<std::size_t>(first * columns) * size_of(weight.dtype);
    const kernels::View<2> block = {static_cast<std::byte*>(weight.data) + offset,
                                    weight.dtype,
                                    {outputs, wide},
                                    weight.stride};
    if (first == 0) {
      kernels::linear(rows(matrices, count, wide), block, bias, y, parallel);
      continue;
    }
    kernels::linear(rows(matrices, count, wide), block, {}, part, parallel);
    for (int64_t i = 0; i < count * outputs; ++i) y.as<float>()[i] += part.as<float>()[i];
  }
}

}  // namespace adder::infer
