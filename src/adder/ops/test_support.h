// What the tests of operators share: calls by name, random tensors, gradients against finite
// differences, and each test on each device.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace adder::ops {

using TensorFunction = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

/// Standard normal, a pure function of the seed.
at::Tensor random_tensor(at::IntArrayRef sizes, uint64_t seed, at::ScalarType type = at::kDouble);

/// Tests that run on the CPU and on a device: TEST_P of a fixture that is one of these, and
/// ADDER_ON_EACH_DEVICE(fixture). Without a device the second says "skipped: no device".
class OnEachDevice : public ::testing::TestWithParam<at::DeviceType> {
 protected:
  void SetUp() override;
  bool on_cpu() const { return GetParam() == at::kCPU; }
  /// The tensor on the device.
  at::Tensor here(const at::Tensor& tensor) const { return tensor.to(GetParam()); }
};
std::string device_name(const ::testing::TestParamInfo<at::DeviceType>& info);
#define ADDER_ON_EACH_DEVICE(fixture) \
  INSTANTIATE_TEST_SUITE_P(Each, fixture, ::testing::Values(at::kCPU, at::kCUDA), device_name)

/// Each of them in another type.
std::vector<at::Tensor> cast(const std::vector<at::Tensor>& tensors, at::ScalarType type);

/// Largest |a - b| over the largest |b|.
double relative_error(const at::Tensor& a, const at::Tensor& b);

/// For each input: |<gradient, v> - (L(x + hv) - L(x - hv)) / 2h| relative to the larger of the
/// two, along a random direction v, where L is a random projection of all floating outputs. Inputs
/// are double. Returns the worst.
double gradient_error(const TensorFunction& function, std::vector<at::Tensor> inputs);

/// Gradients of the same projection for each input.
std::vector<at::Tensor> gradients_of(const TensorFunction& function,
                                     std::vector<at::Tensor> inputs);

/// `ours` on `device` equals `theirs` on the CPU in double, values and gradients: on the CPU in
/// double (1e-12; gradients 1e-10) and float (1e-5; 1e-4), on a device in float, and in bf16 to a
/// few roundings, where the inputs `wide` (decays, biases, weights of norms) stay float; there a
/// second run gives the same bits. Inputs are double tensors of the CPU.
void expect_equal(at::DeviceType device, const TensorFunction& ours, const TensorFunction& theirs,
                  const std::vector<at::Tensor>& inputs, const std::vector<size_t>& wide = {});

/// The ssd operator with default options.
std::vector<at::Tensor> call_ssd(const at::Tensor& x, const at::Tensor& dt, const at::Tensor& A,
                                 const at::Tensor& B, const at::Tensor& C,
                                 const std::optional<at::Tensor>& D,
                                 const std::optional<at::Tensor>& z,
                                 const std::optional<at::Tensor>& dt_bias,
                                 const std::optional<at::Tensor>& initial_state,
                                 const std::optional<at::Tensor>& seq_idx, int64_t chunk_size = 64);

/// Any operator of the namespace by name, boxed: arguments as IValues, outputs as tensors.
std::vector<at::Tensor> call(const std::string& name, std::vector<c10::IValue> arguments);

}  // namespace adder::ops
