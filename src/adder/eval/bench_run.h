// What the parts of the benchmark share: what was asked, the machine's limits, the rows so far.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "adder/eval/bench.h"

namespace adder::eval {

/// The best that was seen: bytes and operations a second.
struct MachineLimits {
  double read = 0, copy = 0;
  double gemm_f32 = 0, gemm_bf16 = 0;
};

class BenchRun {
 public:
  BenchRun(const BenchOptions& options, const BenchProgress& progress)
      : options_(options), progress_(progress) {}

  bool wanted(const std::string& group, const std::string& name) const;
  void add(BenchRow row);

  using Work = std::function<void()>;
  /// Seconds of each candidate: warmed up, then by turns, `repeats` times (at most 3 where one
  /// takes over a second); short work is repeated inside a measurement.
  std::vector<Spread> time(const std::vector<Work>& candidates) const;

  /// Measured when first asked for.
  const MachineLimits& limits();
  const std::vector<BenchRow>& rows() const { return rows_; }

 private:
  const BenchOptions& options_;
  const BenchProgress& progress_;
  std::vector<BenchRow> rows_;
  std::optional<MachineLimits> limits_;
};

Spread spread_of(std::vector<double> samples);

/// Seconds as milliseconds, or as a rate of `amount` a second (lowest and highest change places).
Spread as_milliseconds(const Spread& seconds);
Spread as_rate(const Spread& seconds, double amount);

/// Measures them, and adds the rows that are wanted.
MachineLimits measure_limits(BenchRun& run);

// The parts, in this order.
void bench_limits(BenchRun& run);
void bench_operators(BenchRun& run);
void bench_word_ssm(BenchRun& run);
void bench_training(BenchRun& run);
void bench_generation(BenchRun& run);

}  // namespace adder::eval
