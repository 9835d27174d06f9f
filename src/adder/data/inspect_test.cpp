#include "adder/data/inspect.h"

#include <gtest/gtest.h>

#include "adder/data/loader.h"
#include "adder/data/shard_writer.h"
#include "adder/data/test_folder.h"
#include "adder/text/byte_tokenizer.h"

namespace adder::data {
namespace {

TEST(Inspect, ShowsBordersAndPadding) {
  const TestFolder folder;
  const text::ByteTokenizer tokenizer;
  {
    ShardWriter writer(folder / "set", tokenizer);  // [a \n C3 A9 E] [d E]
    writer.add_document(std::string_view("a\n\xC3\xA9"));
    writer.add_document(std::string_view("d"));
    writer.finish();
  }
  const ShardSet set = ShardSet::open(folder / "set");
  const TokenLoader packed(set, set.all(), {.batch_size = 1, .length = 6});
  EXPECT_EQ(describe_rows(packed.eval_batch(0, 1), tokenizer),
            std::vector<std::string>{"[0]a\\n\xC3\xA9<eos>|[1]d"});
  const BatchCounts counts = count_batch(packed.eval_batch(0, 1));
  EXPECT_EQ(counts.predictions, 5);
  EXPECT_EQ(counts.ignored, 1);
  EXPECT_EQ(counts.padding, 0);
  const TokenLoader docs(set, set.all(), {.batch_size = 1, .length = 3, .mode = PackMode::kDocs});
  const Batch all = docs.eval_batch(0, docs.eval_windows());
  EXPECT_EQ(describe_rows(all, tokenizer).at(2), "[0]d[pad x 2]");
  EXPECT_EQ(describe_rows(all, tokenizer, 1).size(), 1u);
  EXPECT_EQ(count_batch(all).padding, 2 + 2);
}

TEST(Inspect, ShowsWhatIsLearntOfAConversation) {
  const TestFolder folder;
  const text::ByteTokenizer tokenizer;
  ShardWriter writer(folder / "set", tokenizer);
  writer.add_document(std::vector<int32_t>{'Q', ':', 'a', 256, 'Q', 'b', 256},
                      std::vector<uint8_t>{0, 0, 1, 1, 0, 1, 1});
  writer.finish();
  const ShardSet set = ShardSet::open(folder / "set");
  const TokenLoader loader(set, set.all(), {.batch_size = 1, .length = 8, .mode = PackMode::kDocs});
  // The last token is a target only: it stands in no input.
  EXPECT_EQ(describe_rows(loader.eval_batch(0, 1), tokenizer),
            std::vector<std::string>{"[0]Q:{a<eos>}Q{b}[pad x 2]"});
}

TEST(Inspect, TellsTheSharesAndWhatIsHeldOut) {
  const TestFolder folder;
  const text::ByteTokenizer tokenizer;
  ShardWriter writer(folder / "set", tokenizer);
  for (const char* name : {"a", "b"}) {
    writer.begin_part(name, false);
    for (const char* text : {"one", "two"}) writer.add_document(std::string_view(text));
  }
  writer.begin_part("held out", true);
  writer.add_document(std::string_view("three"));
  writer.finish();
  const ShardSet set = ShardSet::open(folder / "set");
  const io::Json told = describe_split(set, split_tokens(set, 0, {3, 1}));
  EXPECT_EQ(told["training"][0]["share"], 0.75);
  EXPECT_EQ(told["training"][1]["name"], "b");
  EXPECT_EQ(told["training"][1]["documents"], 2);
  EXPECT_EQ(told["training"][1]["tokens"], 8);
  EXPECT_EQ(told["held_out"][0]["documents"], 1);
  EXPECT_EQ(told["held_out"][0]["tokens"], 6);
}

}  // namespace
}  // namespace adder::data
