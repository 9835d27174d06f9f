// Against other implementations: folders that the scripts of tests/golden made, with Hugging Face
// transformers, or, for the Mamba authors' own layout, with a forward pass in fp64.
#include <gtest/gtest.h>

#include <algorithm>

#include "adder/base/thread_pool.h"
#include "adder/infer/score.h"

namespace adder::infer {
namespace {

class Golden : public testing::TestWithParam<const char*> {
 protected:
  Golden()
      : folder_(std::string(ADDER_SOURCE_DIR) + "/tests/golden/" + GetParam()),
        directory_(model::ModelDirectory::open(folder_)),
        model_(directory_.config(), directory_.weights(), pool_),
        golden_(io::read_json_file(folder_ / "golden.json")) {}

  const ThreadPool pool_{2};
  std::filesystem::path folder_;
  model::ModelDirectory directory_;
  Model model_;
  io::Json golden_;
};

TEST_P(Golden, LossOfEachToken) {
  const auto ids = golden_.at("ids").get<std::vector<int32_t>>();
  const auto want = golden_.at("losses").get<std::vector<double>>();
  const auto got = token_losses(model_, ids);
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t t = 0; t < want.size(); ++t) EXPECT_NEAR(got[t], want[t], 1e-4) << t;
}

TEST_P(Golden, GreedyTokens) {
  auto ids = golden_.at("ids").get<std::vector<int32_t>>();
  ids.resize(golden_.at("prompt").get<std::size_t>());
  State state = model_.new_state();
  std::vector<float> logits(static_cast<std::size_t>(model_.vocab_size()));
  model_.prefill(ids, state, logits);
  State* states[] = {&state};
  std::vector<int32_t> got;
  while (got.size() < 64) {
    got.push_back(
        static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    model_.step(std::span(got).last(1), states, logits);
  }
  EXPECT_EQ(got, golden_.at("greedy").get<std::vector<int32_t>>());
}

INSTANTIATE_TEST_SUITE_P(OtherImplementations, Golden,
                         testing::Values("mamba1-plain", "mamba1-bias", "mamba1-sizes",
                                         "falcon-mamba", "mamba2-plain", "mamba2-bias",
                                         "mamba2-limits", "mamba2-groups", "attention-llama",
                                         "attention-mistral", "original-mamba1", "original-mamba2",
                                         "original-hybrid", "original-transformer"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace adder::infer
