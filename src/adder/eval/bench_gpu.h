// What `adder bench gpu` measures of the kernels: each operator on a CUDA device against the limits
// of that device, in one process.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "adder/eval/bench.h"
#include "adder/eval/bench_device_timer.h"

namespace adder::eval {

struct DeviceBenchOptions {
  int64_t repeats = 20;  // measurements of each row; the figure is their median
  std::string only;      // rows whose name or group holds this text; empty: all
  void describe(OptionVisitor& v);
};

/// Groups "limit" and "kernel"; `record`: of the device (train/accelerator.h). The peers are
/// LibTorch's own operators on the same device. Throws kUnsupported where there is no device, and
/// says why.
std::vector<BenchRow> bench_device_kernels(const DeviceBenchOptions& options,
                                           const Recorder& record,
                                           const BenchProgress& progress = {});

/// "NVIDIA H200, 132 multiprocessors, 139.8 GiB"; throws as above.
std::string device_line();

}  // namespace adder::eval
