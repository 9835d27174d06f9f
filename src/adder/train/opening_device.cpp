#include "adder/train/opening_device.h"

#include <ATen/ATen.h>

#include <chrono>

#include "adder/train/accelerator.h"

namespace adder::train {

OpeningDevice::OpeningDevice(const std::string& name)
    : opened_(std::async(std::launch::async, [name] {
        const at::Device device = open_device(name);
        if (!device.is_cpu()) at::empty({1}, device);  // makes the device's context
      })) {}

void OpeningDevice::check() {
  using std::chrono::seconds;
  if (opened_.valid() && opened_.wait_for(seconds(0)) == std::future_status::ready) opened_.get();
}

void OpeningDevice::wait() {
  if (opened_.valid()) opened_.get();
}

}  // namespace adder::train
