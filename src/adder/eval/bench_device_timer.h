// Time and memory on a CUDA device, through LibTorch's device-neutral interface.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "adder/eval/bench.h"

namespace adder::eval {

using DeviceWorkload = std::function<void()>;
/// Records what a workload gives to the device, and gives back a function that replays it.
using Recorder = std::function<DeviceWorkload(const DeviceWorkload&)>;

/// Seconds of each workload: warmed up, then by turns, `repeats` times, between two events on the
/// device. Recorded, short ones several times in a row, so that the host does not count.
std::vector<Spread> time_on_device(const std::vector<DeviceWorkload>& candidates, int64_t repeats,
                                   const Recorder& record);

/// The most bytes that were taken at once while `work` ran, above what was taken before.
int64_t peak_device_bytes(const DeviceWorkload& work);

}  // namespace adder::eval
