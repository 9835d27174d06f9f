// What a block keeps, counted by hand off nn/NAME.cpp for one small shape: 2 rows of 100 tokens.
#include "adder/train/plan_mixers.h"

#include <gtest/gtest.h>

namespace adder::train {
namespace {

constexpr double kTokens = 200;

BlockMemory block(std::initializer_list<std::pair<const char*, const char*>> options,
                  int64_t element = 4, bool out_proj_adapted = false) {
  model::ModelConfig config;
  config.vocab_size = 16;
  config.d_model = 96;
  config.n_layer = 1;
  for (const auto& [key, value] : options) set_from_text(find_option(flatten(config), key), value);
  config.check();
  return block_memory(config, 0,
                      {.batch = 2,
                       .length = 100,
                       .element = element,
                       .threads = 3,
                       .out_proj_adapted = out_proj_adapted});
}

// Inner width 192: x and z, the convolved x, delta, the gated y; of x_proj dt 6, B 5, C 5. The scan
// takes 3 blocks of 64 channels, 5 states up to 8, 4 tiles of 32 tokens.
TEST(PlanMixers, Mamba1ByHand) {
  const BlockMemory memory = block({{"layers", "mamba1"}, {"mamba1.d_state", "5"}});
  EXPECT_EQ(memory.kept, kTokens * 4 * (2 * 192 + 192 + 192 + 192 + 16));
  EXPECT_EQ(memory.scan, 4 * (2 * 3 * kTokens * 8 + 3 * 4 * 8 * 64));
  EXPECT_EQ(memory.working, kTokens * 4 * 3 * 192 + memory.scan);
  EXPECT_EQ(memory.weights, 0);
  const BlockMemory half = block({{"layers", "mamba1"}, {"mamba1.d_state", "5"}}, 2);
  EXPECT_EQ(half.kept, memory.kept / 2);
  EXPECT_EQ(half.scan, memory.scan);  // fp32 whatever the activations are
  EXPECT_EQ(half.weights, 2 * (384 * 96 + 16 * 192 + 192 * 6 + 96 * 192));
}

// kernels/cpu/selective_scan_tile.h: a narrow scan is one block, of whole vectors; one of 1,920
// channels has blocks of ceil(1920 / 16) = 120 -> 128 channels, 15 of them.
TEST(PlanMixers, TheBlocksOfTheScan) {
  const auto scan = [](const char* d_model) {
    return block({{"layers", "mamba1"}, {"d_model", d_model}, {"mamba1.d_state", "8"}}).scan;
  };
  EXPECT_EQ(scan("20"), 4 * 8 * (2 * 1 * kTokens + 3 * 4 * 48));
  EXPECT_EQ(scan("960"), 4 * 8 * (2 * 15 * kTokens + 3 * 4 * 128));
}

// Inner width 192, 8 heads of 24: the projection 192 + 192 + 2 * 16 + 8, the convolved 192 + 32,
// y before the norm, and after it where an adapter reads that. The scan: 2 blocks of 4 heads, 2
// chunks of 64 tokens.
TEST(PlanMixers, Mamba2ByHand) {
  const BlockMemory memory = block({{"mamba2.d_state", "16"}, {"mamba2.head_dim", "24"}});
  EXPECT_EQ(memory.kept, kTokens * 4 * (424 + 224 + 192));
  EXPECT_EQ(block({{"mamba2.d_state", "16"}, {"mamba2.head_dim", "24"}}, 4, true).kept,
            kTokens * 4 * (424 + 224 + 192 + 192));
  EXPECT_EQ(memory.scan, 4 * (2 * 2 * kTokens * 16 + 3 * 2 * 4 * 24 * 16));
}

// q, k and v of 96 each from one projection; q and k turned; y twice; 4 heads' logarithms.
TEST(PlanMixers, SoftmaxByHand) {
  const BlockMemory memory = block({{"layers", "softmax"}, {"softmax.head_dim", "24"}});
  EXPECT_EQ(memory.kept, kTokens * 4 * (3 * 96 + 2 * 96 + 2 * 96 + 4));
  // The rotation, in fp32: two factors' gradients, their sum and the one before it of q and k, and
  // the gradient of v.
  EXPECT_EQ(memory.working, kTokens * 4 * (2 * 96 * 4 + 96));
  EXPECT_EQ(memory.scan, 0);
}

// Blocks of 64 queries see 64 + 31 keys: the mask, and k and v of 48 in blocks, once more for the
// two query heads of each.
TEST(PlanMixers, SoftmaxWindowByHand) {
  const BlockMemory memory = block({{"layers", "softmax"},
                                    {"softmax.head_dim", "24"},
                                    {"softmax.n_kv_heads", "2"},
                                    {"softmax.window", "32"}});
  const double plain = kTokens * 4 * ((96 + 2 * 48) + (96 + 48) + 2 * 96 + 4);
  const double blocks = kTokens * 4 * (2 * 48 + 2 * 96) * 95 / 64;
  EXPECT_DOUBLE_EQ(memory.kept, plain + blocks + 4 * 64 * 95);
}

// 20 states: q, k and v. All of the state is one block: its reads and their gradient, the product
// for the weight; the gradients of the output, of q, k and v, and of v once more in fp32; 6 strips
// of 16 places.
TEST(PlanMixers, WordSsmAByHand) {
  const BlockMemory memory = block({{"layers", "word_ssm"}, {"word_ssm.d_state", "20"}});
  EXPECT_EQ(memory.kept, kTokens * 4 * (20 + 20 + 96));
  EXPECT_EQ(memory.scan, 4 * 6 * 20 * (2 * kTokens + 2));
  EXPECT_EQ(memory.working,
            4 * (2 * kTokens * 20 * 96 + 20 * 96 * 96 + kTokens * (96 + 20 + 20 + 96 + 96)) +
                memory.scan);
  const BlockMemory half = block({{"layers", "word_ssm"}, {"word_ssm.d_state", "20"}}, 2);
  EXPECT_EQ(half.kept, memory.kept / 2);
  EXPECT_EQ(half.weights, 2 * 96 * (20 + 20 + 96));  // the read-out's goes block by block
}

// The memory of form A's backward does not grow with the states once a block of them is full: of
// 1,000,000 tokens a column of 96 places is 384 MB, one at a time.
TEST(PlanMixers, WordSsmATakesColumnsInBlocks) {
  const auto scan = [](const char* d_state) {
    model::ModelConfig config;
    config.vocab_size = 16;
    config.d_model = 96;
    config.n_layer = 1;
    set_from_text(find_option(flatten(config), "layers"), "word_ssm");
    set_from_text(find_option(flatten(config), "word_ssm.d_state"), d_state);
    return block_memory(config, 0, {.batch = 10, .length = 100000}).scan;
  };
  EXPECT_EQ(scan("20"), 4 * 6 * (2e6 + 10));
  EXPECT_EQ(scan("400"), scan("20"));
}

// Beside the mixer: the norm's output and sum; both halves and the product, or before and
// after gelu.
TEST(PlanMixers, MlpByHand) {
  const BlockMemory alone = block({{"mamba2.head_dim", "24"}});
  const auto with = [](const char* kind) {
    return block({{"mamba2.head_dim", "24"}, {"mlp.kind", kind}, {"mlp.d_hidden", "10"}});
  };
  EXPECT_EQ(with("swiglu").kept - alone.kept, kTokens * 4 * (2 * 96 + 3 * 10));
  EXPECT_EQ(with("gelu").kept - alone.kept, kTokens * 4 * (2 * 96 + 2 * 10));
  EXPECT_EQ(with("swiglu").working, alone.working);  // the mixer's is the larger
  EXPECT_EQ(with("swiglu").scan, alone.scan);
  const BlockMemory wide =
      block({{"mamba2.head_dim", "24"}, {"mlp.kind", "gelu"}, {"mlp.d_hidden", "4000"}});
  EXPECT_EQ(wide.working, kTokens * 4 * 2 * 4000);
  EXPECT_EQ(wide.scan, 0);  // it is over by then
}

}  // namespace
}  // namespace adder::train
