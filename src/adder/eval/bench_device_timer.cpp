#include "adder/eval/bench_device_timer.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cmath>

#include "adder/eval/bench_run.h"

namespace adder::eval {
namespace {

constexpr double kShortestDeviceSample = 0.003;  // seconds
constexpr auto kDevice = c10::DeviceType::CUDA;

c10::Stream current_stream() {
  const c10::impl::VirtualGuardImpl guard(kDevice);
  return guard.getStream(guard.getDevice());
}

double device_seconds_of(const DeviceWorkload& work) {
  c10::Event begin(kDevice, c10::EventFlag::BACKEND_DEFAULT);
  c10::Event end(kDevice, c10::EventFlag::BACKEND_DEFAULT);
  begin.record(current_stream());
  work();
  end.record(current_stream());
  end.synchronize();
  return begin.elapsedTime(end) / 1e3;
}

/// The same work `times` times.
DeviceWorkload repeated(const DeviceWorkload& work, int64_t times) {
  return [&work, times] {
    for (int64_t i = 0; i < times; ++i) work();
  };
}

void synchronize_device() {
  current_stream().synchronize();
}

}  // namespace

std::vector<Spread> time_on_device(const std::vector<DeviceWorkload>& candidates, int64_t repeats,
                                   const Recorder& record) {
  std::vector<int64_t> times;
  std::vector<DeviceWorkload> replays;
  for (const DeviceWorkload& work : candidates) {
    for (int i = 0; i < 3; ++i) work();
    const double once = std::max(1e-6, device_seconds_of(work));
    times.push_back(std::clamp<int64_t>(std::llround(kShortestDeviceSample / once), 1, 100));
    replays.push_back(record(repeated(work, times.back())));
    replays.back()();
  }
  std::vector<std::vector<double>> samples(candidates.size());
  for (int64_t i = 0; i < repeats; ++i) {
    for (size_t c = 0; c < candidates.size(); ++c)
      samples[c].push_back(device_seconds_of(replays[c]) / static_cast<double>(times[c]));
  }
  std::vector<Spread> result;
  for (auto& sample : samples) result.push_back(spread_of(std::move(sample)));
  return result;
}

int64_t peak_device_bytes(const DeviceWorkload& work) {
  c10::DeviceAllocator* allocator = c10::getDeviceAllocator(kDevice);
  const auto device = current_stream().device_index();
  const auto bytes = [&] { return allocator->getDeviceStats(device).allocated_bytes[0]; };
  work();
  synchronize_device();
  allocator->resetPeakStats(device);
  const int64_t before = bytes().current;
  work();
  synchronize_device();
  return bytes().peak - before;
}

}  // namespace adder::eval
