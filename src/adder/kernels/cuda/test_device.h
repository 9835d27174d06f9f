// For the tests of this folder: arrays on the device, and a DeviceWork whose memory is poisoned.
#pragma once

#include <cuda_runtime_api.h>

#include <map>
#include <memory>
#include <vector>

#include "adder/kernels/cuda/functions.h"
#include "adder/kernels/test_support.h"

namespace adder::kernels::testing {

inline void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  ADD_FAILURE() << cudaGetErrorString(error);
  throw std::runtime_error(cudaGetErrorString(error));
}

/// Whether a device answers; each test begins with ADDER_NEEDS_DEVICE().
inline bool has_device() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}
#define ADDER_NEEDS_DEVICE() \
  if (!::adder::kernels::testing::has_device()) GTEST_SKIP() << "skipped: no device"

/// Device memory that starts as NaN (all bits set), with guard bytes behind it.
class DeviceMemory {
 public:
  explicit DeviceMemory(int64_t bytes) : bytes_(bytes) {
    check(cudaMalloc(&data_, static_cast<size_t>(bytes + kGuard)));
    check(cudaMemset(data_, 0xff, static_cast<size_t>(bytes + kGuard)));
  }
  ~DeviceMemory() { cudaFree(data_); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  /// Whether nothing was written behind the end.
  bool guard_untouched() const {
    std::vector<unsigned char> guard(kGuard);
    check(cudaMemcpy(guard.data(), static_cast<char*>(data_) + bytes_, kGuard,
                     cudaMemcpyDeviceToHost));
    return std::all_of(guard.begin(), guard.end(), [](unsigned char c) { return c == 0xff; });
  }

 private:
  static constexpr int64_t kGuard = 256;
  void* data_ = nullptr;
  int64_t bytes_;
};

/// Copies of host views on the device, of the same strides; fetch() brings what is there back.
class OnDevice {
 public:
  /// The view with a device pointer; not given where `host` is not. The same host memory gives the
  /// same device memory.
  template <int Rank>
  View<Rank> operator()(const View<Rank>& host) {
    View<Rank> result = host;
    if (!host.given()) return result;
    Place& place = places_[host.data];
    if (!place.memory) {
      place.memory = std::make_shared<DeviceMemory>(span_of(host));
      check(cudaMemcpy(place.memory->data(), host.data, static_cast<size_t>(span_of(host)),
                       cudaMemcpyHostToDevice));
    }
    result.data = place.memory->data();
    return result;
  }
  /// Everything back to where it came from. Fails the test where a guard was written.
  void fetch() {
    check(cudaDeviceSynchronize());
    for (auto& [host, place] : places_) {
      EXPECT_TRUE(place.memory->guard_untouched());
      check(cudaMemcpy(host, place.memory->data(), static_cast<size_t>(place.memory->bytes()),
                       cudaMemcpyDeviceToHost));
    }
  }

 private:
  struct Place {
    std::shared_ptr<DeviceMemory> memory;
  };
  /// Bytes from the first element to the end of the last.
  template <int Rank>
  static int64_t span_of(const View<Rank>& view) {
    int64_t last = 0;
    for (int d = 0; d < Rank; ++d) last += (view.size[d] - 1) * view.stride[d];
    return (last + 1) * size_of(view.dtype);
  }
  std::map<void*, Place> places_;
};

/// The default stream, and memory poisoned with NaN that lives as long as this.
class TestWork final : public DeviceWork {
 public:
  void* stream() const override { return nullptr; }
  void* take(int64_t bytes) const override {
    memory_.push_back(std::make_shared<DeviceMemory>(bytes));
    return memory_.back()->data();
  }
  ~TestWork() override {
    for (const auto& memory : memory_) EXPECT_TRUE(memory->guard_untouched());
  }

 private:
  mutable std::vector<std::shared_ptr<DeviceMemory>> memory_;
};

}  // namespace adder::kernels::testing
