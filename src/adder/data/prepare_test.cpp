#include "adder/data/prepare.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"
#include "adder/data/shard_writer.h"
#include "adder/data/stories.h"
#include "adder/data/test_folder.h"

namespace adder::data {
namespace {

DataOptions options_for(const TestFolder& folder, const std::filesystem::path& text) {
  DataOptions options;
  options.text = {text.string()};
  options.cache = (folder / "cache").string();
  return options;
}

TEST(Prepare, MakesShardsOnceAndReusesThem) {
  const TestFolder folder;
  std::string text;
  generate_stories(1, 50000, [&](std::string_view piece) { text += piece; });
  DataOptions options = options_for(folder, folder.write("stories.txt", text));
  options.separator = "\\n\\n";
  int64_t last = 0;
  int64_t total = 0;
  const auto progress = [&](int64_t done, int64_t all) {
    EXPECT_GE(done, last);
    last = done;
    total = all;
  };
  const PreparedData made = prepare(options, progress);
  EXPECT_FALSE(made.reused);
  EXPECT_GT(total, 0);
  EXPECT_EQ(last, total);
  EXPECT_EQ(made.tokenizer->kind(), "char");
  ASSERT_TRUE(made.tokenizer->eos_id());
  EXPECT_GT(made.shards->document_count(), 100);
  const TokenRange first = made.shards->document(0);
  EXPECT_EQ(made.tokenizer->decode(made.shards->copy(first)), make_story(1, 0));
  EXPECT_EQ(made.split.train.end, made.split.validation.begin);
  EXPECT_EQ(made.split.validation.end, made.shards->size());

  const PreparedData again = prepare(options);
  EXPECT_TRUE(again.reused);
  EXPECT_EQ(again.shards->folder(), made.shards->folder());
  options.tokenizer = (made.shards->folder() / "tokenizer.json").string();
  EXPECT_TRUE(prepare(options).reused);
  options.tokenizer = "byte";
  EXPECT_FALSE(prepare(options).reused);
  options.separator = "";
  const PreparedData whole = prepare(options);
  EXPECT_EQ(whole.shards->document_count(), 1);
  EXPECT_EQ(whole.shards->size(), static_cast<int64_t>(text.size()) + 1);
}

TEST(Prepare, ChangedTextIsEncodedAnew) {
  const TestFolder folder;
  const auto path = folder.write("a.txt", "some text to learn from");
  const DataOptions options = options_for(folder, path);
  EXPECT_FALSE(prepare(options).reused);
  folder.write("a.txt", "some text to learn from!");
  const PreparedData data = prepare(options);
  EXPECT_FALSE(data.reused);
  EXPECT_EQ(data.tokenizer->decode(data.shards->copy(data.shards->all())),
            "some text to learn from!");
}

TEST(Prepare, DamagedShardsAreMadeAgainAndThatIsSaid) {
  const TestFolder folder;
  const DataOptions options = options_for(folder, folder.write("a.txt", "some text to learn from"));
  const PreparedData made = prepare(options);
  std::fstream(made.shards->folder() / "tokens-00000.bin", std::ios::in | std::ios::out)
      .put('\x05');
  const PreparedData again = prepare(options);
  EXPECT_FALSE(again.reused);
  EXPECT_NE(again.note.find("damaged"), std::string::npos);
  again.shards->verify();
  EXPECT_EQ(prepare(options).note, "");
}

TEST(Prepare, AFolderWithoutItsManifestIsMadeAgain) {
  const TestFolder folder;
  const DataOptions options = options_for(folder, folder.write("a.txt", "some text to learn from"));
  std::filesystem::remove(prepare(options).shards->folder() / kManifestName);
  EXPECT_NE(prepare(options).note, "");
  EXPECT_TRUE(prepare(options).reused);
}

TEST(Prepare, WhatKilledProcessesLeftGoesAfterADay) {
  const TestFolder folder;
  const DataOptions options = options_for(folder, folder.write("a.txt", "some text to learn from"));
  const auto now = std::filesystem::file_time_type::clock::now();
  for (const auto& [name, hours] : {std::pair(".tmp-x-1", 25), std::pair(".tmp-x-2", 23)}) {
    const auto left = folder.write(std::string("cache/") + name + "/tokens-00000.bin", "x");
    std::filesystem::last_write_time(left, now - std::chrono::hours(hours));
    std::filesystem::last_write_time(left.parent_path(), now - std::chrono::hours(hours));
  }
  prepare(options);
  EXPECT_FALSE(std::filesystem::exists(folder / "cache/.tmp-x-1"));
  EXPECT_TRUE(std::filesystem::exists(folder / "cache/.tmp-x-2"));
}

TEST(Prepare, SaysWhatDoesNotFit) {
  const TestFolder folder;
  DataOptions options;
  EXPECT_NE(error_of([&] { prepare(options); }).find("data.text"), std::string::npos);
  options = options_for(folder, folder.write("a.txt", "abc"));
  options.tokenizer = "chars";
  EXPECT_NE(error_of([&] { prepare(options); }).find("chars"), std::string::npos);
  options.tokenizer = "char";
  options.separator = "\\q";
  EXPECT_NE(error_of([&] { prepare(options); }), "");
  options.separator = "";
  const auto narrow = make_tokenizer("char", {"ab"});
  narrow->save(folder / "narrow.json");
  options.tokenizer = (folder / "narrow.json").string();
  const std::string message = error_of([&] { prepare(options); });
  EXPECT_NE(message.find("U+0063 'c'"), std::string::npos) << message;
  EXPECT_TRUE(!std::filesystem::exists(folder / "cache") ||
              std::filesystem::is_empty(folder / "cache"));
}

TEST(Prepare, OptionsDescribeThemselves) {
  DataOptions options;
  const auto entries = flatten(options);
  set_from_text(find_option(entries, "val_fraction"), "0.25");
  EXPECT_EQ(options.val_fraction, 0.25);
  EXPECT_THROW(set_from_text(find_option(entries, "mode"), "other"), Error);
}

TEST(Unescape, KnowsFourEscapes) {
  EXPECT_EQ(unescape("a\\n\\t\\r\\\\b"), "a\n\t\r\\b");
  EXPECT_EQ(unescape(""), "");
  EXPECT_THROW((void)unescape("\\"), Error);
  EXPECT_THROW((void)unescape("\\x"), Error);
}

}  // namespace
}  // namespace adder::data
