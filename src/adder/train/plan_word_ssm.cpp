#include "adder/train/plan_word_ssm.h"

#include <algorithm>
#include <cmath>

#include "adder/model/word_ssm_spec.h"

namespace adder::train {
namespace {

struct Sizes {
  double E, S, O;  // d_model, d_state, d_out
  double tokens, batch;
  double e;  // bytes of an activation
  bool narrow() const { return e != 4; }
};

/// ops/word_ssm.cpp, backwards, for a state (columns, width) of each token and `outputs`. The reads
/// of a block of columns and their gradient, the product that becomes the weight's gradient, and in
/// bf16 the weight of the block; the output's gradient without padding, those of q, k and v, that
/// of v in fp32 too.
BlockMemory read_out(const Sizes& s, double columns, double width, double outputs) {
  constexpr double kBlockBytes = 24 << 20;
  const double column = s.tokens * width * s.e;
  const double block = std::clamp(std::floor(kBlockBytes / column), 1.0, columns);
  BlockMemory memory;
  // kernels/cpu/word_ssm_backward.cpp: sums for q, k and the decay of every strip of places, of 16
  // (64 where vectors have 16 lanes).
  memory.scan = 4 * std::ceil(width / 16) * block * (2 * s.tokens + s.batch);
  memory.working = 2 * block * column + (s.narrow() ? 2 : 1) * block * width * outputs * s.e +
                   s.tokens * (s.e * (outputs + 2 * columns + width) + 4 * width) + memory.scan;
  return memory;
}

/// Kept: q, k and v. The weight of the read-out goes along in fp32, whole.
BlockMemory form_A(const Sizes& s) {
  BlockMemory memory = read_out(s, s.S, s.E, s.O);
  memory.kept = s.tokens * s.e * (2 * s.S + s.E);
  if (s.narrow()) memory.weights = s.e * s.E * (2 * s.S + s.E);
  return memory;
}

/// Kept: the states before and after each token (the same where rows are not packed), and before
/// and after the norm. Working: the gradients of three states, and of four activations.
BlockMemory form_B(const Sizes& s) {
  BlockMemory memory;
  memory.kept = s.tokens * s.E * (2 * 4 * s.S + 4 + s.e + (s.narrow() ? 4 : 0));
  if (s.narrow()) memory.weights = s.e * s.E * s.O;
  memory.working = 4 * s.batch * s.E * s.S * 3 + s.tokens * s.E * 16;
  return memory;
}

/// Kept: B and C, the states and what is read of them. Working: the gradient of those reads, of
/// three states and of the read-out's weight.
BlockMemory form_C(const Sizes& s) {
  BlockMemory memory;
  memory.kept = s.tokens * (s.S * s.E * (4 + s.e) + 2 * s.S * s.e);
  if (s.narrow()) {
    memory.kept += s.tokens * 4 * (2 * s.S + s.E);
    memory.weights = s.e * s.E * s.S * (2 + s.O);
  }
  memory.working = s.tokens * s.S * s.E * s.e + 4 * s.batch * s.S * s.E * 3 + s.e * s.O * s.S * s.E;
  return memory;
}

/// Kept: the transitions, as projected and with their rows divided; input, states before and after
/// each token and joined, before and after the norm. Working: the gradients of the transitions, of
/// each token and joined, and of their division.
BlockMemory form_D(const Sizes& s) {
  BlockMemory memory;
  memory.kept = s.tokens * s.S * (2 * 4 * s.S + 4 * 4 + s.e);
  if (s.narrow()) memory.weights = s.e * (s.E * s.S * (s.S + 1) + s.O * s.S);
  memory.working = s.tokens * s.S * (3 * 4 * s.S + 4 * 4);
  return memory;
}

/// Kept: v, q, the gate and its complement, the states of each token and joined, and the ones that
/// stand for queries.
BlockMemory form_E(const Sizes& s) {
  BlockMemory memory = read_out(s, s.S, s.S, s.O);
  memory.kept = s.tokens * s.S * (3 * s.e + 4 * 4 + (s.narrow() ? 4 + s.e : 0));
  if (s.narrow()) memory.weights = s.e * 3 * s.E * s.S;
  return memory;
}

}  // namespace

BlockMemory word_ssm_memory(const model::MixerSpec& spec_of_any, const model::LayerPlace& place,
                            const PlanShape& shape) {
  const auto& spec = static_cast<const model::WordSsmSpec&>(spec_of_any);
  const Sizes sizes = {
      static_cast<double>(place.d_model),     static_cast<double>(spec.states_of(place.d_model)),
      static_cast<double>(spec.d_out(place)), shape.tokens(),
      static_cast<double>(shape.batch),       static_cast<double>(shape.element)};
  if (spec.form == "A") return form_A(sizes);
  if (spec.form == "B") return form_B(sizes);
  if (spec.form == "C") return form_C(sizes);
  if (spec.form == "D") return form_D(sizes);
  return form_E(sizes);
}

}  // namespace adder::train
