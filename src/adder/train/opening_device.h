// A device that is opened while other work is done: its driver, LibTorch's CUDA side and what both
// set up take as long as reading a text.
#pragma once

#include <future>
#include <string>

namespace adder::train {

class OpeningDevice {
 public:
  /// Begins open_device(name) on a thread of its own. Until wait() nobody else may use LibTorch.
  explicit OpeningDevice(const std::string& name);

  /// Throws what open_device() threw, where that is known by now.
  void check();
  /// Waits for it, and throws the same.
  void wait();

 private:
  std::future<void> opened_;
};

}  // namespace adder::train
