// What operators say on a device that they cannot serve.
#include "adder/ops/device.h"

#include "adder/ops/test_support.h"

namespace adder::ops {
namespace {

using at::Tensor;

class DeviceErrors : public OnEachDevice {};
INSTANTIATE_TEST_SUITE_P(Each, DeviceErrors, ::testing::Values(at::kCUDA), device_name);

/// The words of the error that calling `name` throws.
std::string error_of(const std::string& name, const std::vector<c10::IValue>& arguments) {
  try {
    call(name, arguments);
  } catch (const c10::Error& error) {
    return error.msg();
  }
  return "no error";
}

TEST_P(DeviceErrors, NameTheOperatorAndTheArgument) {
  const Tensor x = here(random_tensor({3, 8}, 1, at::kFloat)),
               weight = random_tensor({8}, 2, at::kFloat);
  EXPECT_EQ(error_of("rms_norm", {x, weight, 1e-5, c10::IValue(), true}),
            "rms_norm: weight is on cpu, expected cuda:0");
  EXPECT_EQ(error_of("rms_norm", {x.to(at::kDouble), here(weight), 1e-5, c10::IValue(), true}),
            "rms_norm: x is float64, which is for the CPU alone; on a device give float32 or "
            "bfloat16");
}

TEST_P(DeviceErrors, SayWhichOperatorsAreForTheCpu) {
  const auto sequence = [&](uint64_t seed) {
    return here(random_tensor({1, 4, 8}, seed, at::kFloat));
  };
  const Tensor decay = here(random_tensor({8}, 4, at::kFloat)),
               weight = here(random_tensor({3, 64}, 5, at::kFloat));
  EXPECT_EQ(error_of("word_ssm", {sequence(1), sequence(2), sequence(3), decay, weight,
                                  c10::IValue(), c10::IValue(), c10::IValue()}),
            "adder::word_ssm has no device kernels yet: run this model on the CPU (--device cpu)");
}

TEST(LoadCuda, SaysWhyNot) {
  std::string why;
  const bool loaded = load_cuda(why);
  EXPECT_EQ(loaded, why.empty()) << why;
}

}  // namespace
}  // namespace adder::ops
