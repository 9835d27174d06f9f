#include "adder/data/prepare.h"

#include <gtest/gtest.h>

#include <set>

#include "adder/base/error.h"
#include "adder/data/generate/offline.h"
#include "adder/data/generate/stories.h"
#include "adder/data/shard_writer.h"
#include "adder/data/test_folder.h"
#include "adder/io/hash.h"
#include "adder/io/json.h"
#include "adder/io/test_compress.h"
#include "adder/text/char_tokenizer.h"

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
  std::vector<std::string> phases;
  int64_t last = 0;
  const auto progress = [&](std::string_view phase, int64_t done, int64_t all) {
    if (phases.empty() || phases.back() != phase) {
      phases.emplace_back(phase);
      last = 0;
    }
    EXPECT_GE(done, last);
    EXPECT_LE(done, all);
    last = done;
    EXPECT_EQ(all, static_cast<int64_t>(text.size()));
  };
  const PreparedData made = prepare(options, progress);
  EXPECT_FALSE(made.reused);
  EXPECT_EQ(phases, (std::vector<std::string>{"hashing", "reading", "encoding"}));
  EXPECT_EQ(last, static_cast<int64_t>(text.size()));
  EXPECT_EQ(made.tokenizer->kind(), "char");
  ASSERT_TRUE(made.tokenizer->eos_id());
  EXPECT_GT(made.shards->document_count(), 100);
  const TokenRange first = made.shards->document(0);
  EXPECT_EQ(made.tokenizer->decode(made.shards->copy(first)), make_story(1, 0));
  ASSERT_EQ(made.split.train.size(), 1u);
  ASSERT_EQ(made.split.validation.size(), 1u);
  EXPECT_EQ(made.split.train[0].ranges.at(0).end, made.split.validation[0].ranges.at(0).begin);
  EXPECT_EQ(made.split.validation[0].ranges.at(0).end, made.shards->size());

  const PreparedData again = prepare(options);
  EXPECT_TRUE(again.reused);
  EXPECT_EQ(again.shards->folder(), made.shards->folder());
  EXPECT_EQ(again.tokenizer->hash(), made.tokenizer->hash());
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
  text::CharTokenizer::train("ab").save(folder / "narrow.json");
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

/// What is in the folder but its manifest: "NAME HASH" a line.
std::string files_of(const ShardSet& shards) {
  std::set<std::string> lines;
  for (const auto& entry : std::filesystem::directory_iterator(shards.folder())) {
    const std::string name = entry.path().filename().string();
    if (name != kManifestName) lines.insert(name + " " + io::hash128_file_hex(entry.path()) + "\n");
  }
  std::string all;
  for (const std::string& line : lines) all += line;
  return all;
}

TEST(Prepare, TheSameDocumentsInAnyKindOfFileGiveTheSameShards) {
  const TestFolder folder;
  std::string plain, jsonl;
  for (int64_t i = 0; i < 300; ++i) {
    const std::string story = make_story(1, i);
    plain += story + "\n\n";
    jsonl += io::Json({{"text", story}}).dump() + "\n";
  }
  std::string expected;
  for (const auto& [name, bytes] : {std::pair<std::string, std::string>{"a.txt", plain},
                                    {"a.txt.gz", io::gzip(plain)},
                                    {"a.txt.zst", io::zstd(plain)},
                                    {"a.jsonl", jsonl},
                                    {"a.jsonl.gz", io::gzip(jsonl)},
                                    {"a.jsonl.zst", io::zstd(jsonl)}}) {
    DataOptions options = options_for(folder, folder.write(name, bytes));
    options.separator = "\\n\\n";
    const PreparedData data = prepare(options);
    EXPECT_EQ(data.shards->document_count(), 300) << name;
    if (expected.empty()) expected = files_of(*data.shards);
    EXPECT_EQ(files_of(*data.shards), expected) << name;
  }
}

int64_t resident_bytes() {
  int64_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * 4096;
}

TEST(Prepare, MemoryDoesNotGrowWithTheText) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the address sanitizer keeps freed memory";
#endif
  const TestFolder folder;
  std::string member;
  while (member.size() < 1 << 20)
    member += make_story(1, static_cast<int64_t>(member.size())) + "\n";
  std::string bytes;  // one document of 32 MB
  for (int i = 0; i < 32; ++i) bytes += io::gzip(member);
  DataOptions options = options_for(folder, folder.write("large.txt.gz", bytes));
  options.val_fraction = 0.5;
  const int64_t before = resident_bytes();
  int64_t peak = before;
  const auto progress = [&](std::string_view, int64_t, int64_t) {
    peak = std::max(peak, resident_bytes());
  };
  const PreparedData data = prepare(options, progress);
  EXPECT_GE(data.shards->size(), 32 << 20);
  EXPECT_EQ(data.shards->document_count(), 1);
  EXPECT_LT(peak - before, 20 << 20);
}

TEST(Prepare, LearnsABpeVocabularyOnce) {
  const TestFolder folder;
  std::string text;
  generate_stories(1, 50000, [&](std::string_view piece) { text += piece; });
  DataOptions options = options_for(folder, folder.write("stories.txt", text));
  options.tokenizer = "bpe";
  options.vocab_size = 400;
  const PreparedData made = prepare(options);
  EXPECT_EQ(made.tokenizer->vocab_size(), 400);
  EXPECT_EQ(made.tokenizer->decode(made.shards->copy(made.shards->all())), text);
  EXPECT_TRUE(prepare(options).reused);
  options.vocab_size = 300;
  EXPECT_FALSE(prepare(options).reused);
}

TEST(Prepare, MaxDocumentsTakesTheFirstOfEachTextAndNoCharacterOfTheOthers) {
  const TestFolder folder;
  folder.write("texts/a.txt", "aaaa");
  folder.write("texts/b.txt", "bbbb");
  folder.write("texts/c.txt", "cccc");
  folder.write("lines.jsonl", "{\"text\": \"dddd\"}\n{\"text\": \"eeee\"}\n");
  DataOptions options = options_for(folder, folder / "texts");
  options.val_fraction = 0;
  const auto letters = [](const PreparedData& data) {
    std::string found;
    for (const char letter : std::string("abcdefg")) {
      const bool known = error_of([&] { data.tokenizer->encode(std::string(1, letter)); }).empty();
      if (known) found += letter;
    }
    return found;
  };
  EXPECT_EQ(prepare(options).shards->document_count(), 3);
  options.max_documents = 2;
  const PreparedData two = prepare(options);
  EXPECT_FALSE(two.reused);
  EXPECT_EQ(two.shards->document_count(), 2);
  EXPECT_EQ(letters(two), "ab");
  options.text.push_back((folder / "lines.jsonl").string());
  options.max_documents = 1;
  const PreparedData each = prepare(options);
  EXPECT_EQ(each.shards->document_count(), 2);
  EXPECT_EQ(letters(each), "ad");

  options.val_text = {folder.write("held_out.txt", "fg\n\nga").string()};  // is all read
  options.separator = "\\n\\n";
  const PreparedData held_out = prepare(options);
  EXPECT_EQ(letters(held_out), "adfg");
  EXPECT_EQ(held_out.shards->document_count(), 4);
  options.max_documents = -1;
  EXPECT_NE(error_of([&] { prepare(options); }).find("data.max_documents"), std::string::npos);
}

}  // namespace
}  // namespace adder::data
