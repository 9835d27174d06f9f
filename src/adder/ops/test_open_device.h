// Opens the device before any test of a program uses LibTorch: what asks it for CUDA first decides
// for the process (device.h).
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "adder/ops/device.h"

namespace adder::ops {

class OpenDevice final : public testing::Environment {
 public:
  void SetUp() override { found = load_cuda(why); }
  static inline bool found = false;
  static inline std::string why;
};
inline const auto* const kOpenDevice = testing::AddGlobalTestEnvironment(new OpenDevice);

}  // namespace adder::ops
