#include "adder/train/device_limits.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"

namespace adder::train {
namespace {

/// What is said against a model of these layers; "" where nothing is.
std::string refusal(const std::vector<std::string>& layers, bool documents = false) {
  model::ModelConfig config;
  config.layers = layers;
  config.n_layer = static_cast<int64_t>(layers.size());
  try {
    check_for_device(config, documents);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    return error.what();
  }
  return "";
}

TEST(DeviceLimits, NameTheMixerAndItsLayer) {
  EXPECT_EQ(refusal({"mamba2", "softmax"}), "");
  EXPECT_EQ(refusal({"mamba2", "mamba2"}, /*documents=*/true), "");
  for (const char* kind : {"mamba1", "word_ssm"}) {
    const std::string words = refusal({"mamba2", kind});
    EXPECT_NE(words.find(std::string("the mixer ") + kind + " is not trained"), std::string::npos);
    EXPECT_NE(words.find("layer 1"), std::string::npos);
  }
  EXPECT_NE(refusal({"softmax"}, /*documents=*/true).find("several documents"), std::string::npos);
}

}  // namespace
}  // namespace adder::train
