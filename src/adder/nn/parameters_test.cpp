// Fresh weights: the same bits whoever draws them.
#include "adder/nn/parameters.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "adder/model/config.h"
#include "adder/ops/test_open_device.h"

namespace adder::nn {
namespace {

/// Every kind of start that a language model of these mixers has.
std::vector<model::TensorSpec> specs() {
  std::vector<model::TensorSpec> specs;
  for (const char* mixer : {"mamba1", "mamba2", "softmax"}) {
    model::ModelConfig config;
    config.vocab_size = 1001;
    config.d_model = 64;
    config.n_layer = 1;
    config.layers = {mixer};
    for (model::TensorSpec& spec : model::tensor_specs(config)) {
      spec.name = std::string(mixer) + "." + spec.name;
      specs.push_back(std::move(spec));
    }
  }
  return specs;
}

void expect_equal(const Parameters& found, const Parameters& expected) {
  for (size_t i = 0; i < expected.specs().size(); ++i) {
    EXPECT_TRUE(at::equal(found.tensors()[i].cpu(), expected.tensors()[i]))
        << expected.specs()[i].name;
  }
}

TEST(FreshParameters, DoNotDependOnTheThreads) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const Parameters expected(specs(), 3);
  for (const int threads : {2, 3, 5}) {
    at::set_num_threads(threads);
    expect_equal(Parameters(specs(), 3), expected);
  }
  at::set_num_threads(before);
}

TEST(FreshParameters, AreTheSameOnADevice) {
  if (!ops::OpenDevice::found) GTEST_SKIP() << "skipped: no device: " << ops::OpenDevice::why;
  expect_equal(Parameters(specs(), 3, nullptr, {at::kCUDA, /*narrow=*/true}),
               Parameters(specs(), 3));
}

}  // namespace
}  // namespace adder::nn
