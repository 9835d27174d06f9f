// What `adder bench` measures: Adder against plain LibTorch and against the limits of this machine,
// in one process and by turns, so that the ratios hold whatever else the machine does.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "adder/base/options.h"
#include "adder/io/json.h"

namespace adder::eval {

struct BenchOptions {
  int64_t repeats = 9;  // measurements of each side; the figure is their median
  int64_t threads = 0;  // 0: every core
  std::string only;     // rows whose name or group holds this text; empty: all
  void describe(OptionVisitor& v);
};

/// The measurements of one side.
struct Spread {
  double median = 0, lowest = 0, highest = 0;
};

struct BenchRow {
  std::string group;  // "limit" | "operator" | "training" | "generation"
  std::string name;   // "ssd forward, recipe f32"
  std::string unit;   // "ms" (less is better), else a rate: "tokens/s", "GB/s", "GFLOP/s"
  Spread ours;
  std::string peer;  // what it stands against: "plain LibTorch, chunk 64"; "" for limits
  Spread peer_value;
  double ratio = 0;  // how many times better than the peer; of a limit: the share reached
  double gflops = 0, gbytes = 0;  // a second, where they are known
  std::string limit;  // the limit that binds: "fp32 GEMM" | "bf16 GEMM" | "memory" | "copy"
  double share = 0;   // of that limit, 0..1
  double peak_gb = 0,
         peer_peak_gb = 0;  // device memory above what was held before; 0: not looked at
};

using BenchProgress = std::function<void(const BenchRow&)>;  // told each row as it is done

/// Throws kUsage when `only` fits no
/// row or a number is out of range.
std::vector<BenchRow> run_bench(const BenchOptions& options, const BenchProgress& progress = {});

/// A table for a terminal; `bench_line` alone gives one row of it.
std::string bench_header();
std::string bench_line(const BenchRow& row);
/// The same for a device: TFLOP/s, TB/s, and gigabytes of its memory.
std::string device_bench_header();
std::string device_bench_line(const BenchRow& row);
io::Json bench_json(const std::vector<BenchRow>& rows);

}  // namespace adder::eval
