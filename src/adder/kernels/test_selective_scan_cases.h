// Cases for the tests of selective_scan.h: random inputs of every kind of option, the oracle's
// answer in double for the very same values, and comparison.
#pragma once

#include <string>

#include "adder/kernels/ref/selective_scan.h"
#include "adder/kernels/selective_scan.h"
#include "adder/kernels/test_support.h"

namespace adder::kernels::testing {

enum class ScanDocuments { kNone, kPacked, kPadded };

struct ScanCase {
  int64_t batch = 2, length = 65, groups = 1, group_channels = 24, width = 16;
  DType dtype = DType::f32;
  bool skip = true, gate = false, bias = true, initial = true, last = true, softplus = true;
  bool other_delta = false;  // delta in the other of f32 and bf16
  ScanDocuments documents = ScanDocuments::kNone;
  int64_t gap = 0;

  int64_t channels() const { return groups * group_channels; }
  std::string name() const;
};

/// No more than 60 cases in which every pair of options occurs.
std::vector<ScanCase> scan_cases();

struct ScanArrays {
  Array<3> u, delta;
  Array<2> A;
  Array<4> B, C;
  Array<1> D;
  Array<3> z;
  Array<1> delta_bias;
  Array<3> initial_state;
  Array<2> seq_idx;
  bool delta_softplus = true;

  SelectiveScanInputs inputs() const;
};
ScanArrays make_inputs(const ScanCase& what, uint64_t seed = 1);
ScanArrays in_double(const ScanArrays& arrays);
/// Overwrites what lies in padding with NaN.
void poison_padding(const SelectiveScanInputs& in);

/// Tokens [begin, end) of a (batch, length, ...) view: the same memory.
template <int Rank>
View<Rank> scan_tokens(View<Rank> view, int64_t begin, int64_t end) {
  if (!view.given()) return view;
  view.data = view.template as<char>() + begin * view.stride[1] * size_of(view.dtype);
  view.size[1] = end - begin;
  return view;
}
/// The same of all inputs, without seq_idx and initial state.
SelectiveScanInputs scan_tokens(const SelectiveScanInputs& in, int64_t begin, int64_t end);

/// Where five documents of one row begin and end. Ids come back (0, 1, 0): what counts is the
/// boundary.
inline constexpr int64_t kScanEnds[] = {0, 3, 31, 33, 64, 80};
Array<2> packed_ids();

/// No step, hardly one, softplus's switch, an enormous one; states that never and at once forget.
struct ExtremeSteps {
  double A, even, odd;  // of every third (channel, state); delta of every other 24
};
inline constexpr ExtremeSteps kExtremeSteps[] = {
    {-1e-8, 1, 1},     {-1, 0, 0.5},    {-1, 1e-9, 1e-9}, {-1e4, 1e-9, 1e-4}, {-1e4, 1e4, 20},
    {-1e-8, 1e4, 1e4}, {-0.01, 25, 20}, {-8, 1e4, 0},     {0, 1, 20}};
ScanArrays make_extreme(const ExtremeSteps& extreme, bool softplus);
std::string name(const ExtremeSteps& extreme);

struct ScanResult {
  Array<3> y, last_state;
  SelectiveScanOutputs outputs() const { return {y, last_state}; }
};
ScanResult make_result(const SelectiveScanInputs& in, DType state_dtype = DType::f32);
ScanResult run_scan(const SelectiveScanInputs& in, const Parallel& parallel = Serial());
ScanResult oracle(const SelectiveScanInputs& in_double);
void expect_near(const ScanResult& got, const ScanResult& want, double tolerance = 1e-5);

struct ScanGradArrays {
  Array<3> grad_y, grad_last_state;  // in
  Array<3> u, delta;
  Array<2> A;
  Array<4> B, C;
  Array<1> D;
  Array<3> z;
  Array<1> delta_bias;
  Array<3> initial_state;

  SelectiveScanGradients gradients() const;
};
/// Gradients of the right shapes, poisoned; grad_y and, if asked for, grad_last_state random.
ScanGradArrays make_gradients(const SelectiveScanInputs& in, bool last, uint64_t seed = 2);
/// The same with grad_y and grad_last_state copied, everything f64.
ScanGradArrays in_double(const ScanGradArrays& grads);
void expect_near(const ScanGradArrays& got, const ScanGradArrays& want, double tolerance = 1e-4);
void expect_same_bytes(const ScanGradArrays& a, const ScanGradArrays& b);

}  // namespace adder::kernels::testing
