// Cases for the tests of ssd.h: random inputs of every kind of option, the oracle's answer in
// double for the very same values, and comparison.
#pragma once

#include <string>

#include "adder/kernels/dispatch.h"
#include "adder/kernels/ref/ssd.h"
#include "adder/kernels/ssd.h"
#include "adder/kernels/test_support.h"

namespace adder::kernels::testing {

enum class SkipKind { kNone, kHead, kChannel };
enum class Documents { kNone, kPacked, kPadded };

struct SsdCase {
  int64_t batch = 2, length = 65, groups = 1, heads_a_group = 2, head_dim = 32, width = 16;
  DType dtype = DType::f32;
  SkipKind skip = SkipKind::kHead;
  bool gate = false, bias = true, limits = false, initial = true, final = true, softplus = true;
  Documents documents = Documents::kNone;
  int64_t gap = 0, chunk_size = 64;

  int64_t heads() const { return groups * heads_a_group; }
  std::string name() const;
};

/// No more than 60 cases in which every pair of options occurs.
std::vector<SsdCase> ssd_cases();

struct SsdArrays {
  Array<4> x;
  Array<3> dt;
  Array<1> A;
  Array<4> B, C;
  Array<2> D;
  Array<4> z;
  Array<1> dt_bias;
  Array<4> initial_state;
  Array<2> seq_idx;
  SsdInputs options;  // the numbers; views not set

  SsdInputs inputs() const;
};
SsdArrays make_inputs(const SsdCase& what, uint64_t seed = 1);
SsdArrays in_double(const SsdArrays& arrays);
/// NaN at the padding of one row; in z too, where it is given.
void poison_padding(const SsdInputs& in);
/// Tokens [begin, end), without seq_idx and initial state: views of the same memory.
SsdInputs tokens(const SsdInputs& in, int64_t begin, int64_t end);
template <int Rank>
View<Rank> tokens(View<Rank> view, int64_t begin, int64_t end) {  // of one (batch, length, ...)
  if (!view.given()) return view;
  view.data = view.template as<char>() + begin * view.stride[1] * size_of(view.dtype);
  view.size[1] = end - begin;
  return view;
}

/// A (batch, length, ...) view at one token.
template <int Rank>
View<Rank - 1> at_token(const View<Rank>& view, int64_t t) {
  View<Rank - 1> one{nullptr, view.dtype, {}, {}};
  if (!view.given()) return one;
  one.data = view.template as<char>() + t * view.stride[1] * size_of(view.dtype);
  one.size[0] = view.size[0], one.stride[0] = view.stride[0];
  for (int d = 1; d < Rank - 1; ++d)
    one.size[d] = view.size[d + 1], one.stride[d] = view.stride[d + 1];
  return one;
}
/// The step of token t.
SsdUpdate update_of(const SsdInputs& in, const View<4>& state, const View<4>& y, int64_t t);

struct SsdResult {
  Array<4> y, final_state;
  SsdOutputs outputs() const { return {y, final_state}; }
};
SsdResult make_result(const SsdInputs& in, DType state_dtype = DType::f32);
SsdResult run_ssd(const SsdInputs& in, const Parallel& parallel = Serial());
SsdResult oracle(const SsdInputs& in_double);

struct SsdGradArrays {
  Array<4> grad_y, grad_final_state;  // in
  Array<4> x;
  Array<3> dt;
  Array<1> A;
  Array<4> B, C;
  Array<2> D;
  Array<4> z;
  Array<1> dt_bias;
  Array<4> initial_state;

  SsdGradients gradients() const;
};
/// Gradients of the right shapes, poisoned; grad_y and, if asked for, grad_final_state random.
SsdGradArrays make_gradients(const SsdInputs& in, bool final, uint64_t seed = 2);
/// The same with grad_y and grad_final_state copied, everything f64.
SsdGradArrays in_double(const SsdGradArrays& grads);
void expect_near(const SsdGradArrays& got, const SsdGradArrays& want, double tolerance);
void expect_same_bytes(const SsdGradArrays& a, const SsdGradArrays& b);

/// Every instruction set that this machine has.
std::vector<Isa> machine_isas();

}  // namespace adder::kernels::testing
