#include "adder/data/shards.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"
#include "adder/base/rng.h"
#include "adder/data/shard_writer.h"
#include "adder/data/split.h"
#include "adder/data/test_folder.h"
#include "adder/io/json.h"
#include "adder/text/byte_tokenizer.h"
#include "adder/text/char_tokenizer.h"

namespace adder::data {
namespace {

/// "ab", "c", "de": with eos [a b E] [c E] [d e E], in shards of three tokens.
ShardSet three_documents(const TestFolder& folder, const text::Tokenizer& tokenizer) {
  ShardWriter writer(folder / "set", tokenizer, {.shard_tokens = 3, .piece_bytes = 1});
  for (const char* text : {"ab", "", "c", "de"}) writer.add_document(std::string_view(text));
  writer.finish("here");
  return ShardSet::open(folder / "set");
}

/// Bytes, with 7 before each document.
class WithBos final : public text::Tokenizer {
 public:
  std::string kind() const override { return bytes_.kind(); }
  int64_t vocab_size() const override { return bytes_.vocab_size(); }
  std::optional<int32_t> eos_id() const override { return bytes_.eos_id(); }
  std::optional<int32_t> bos_id() const override { return 7; }
  using Tokenizer::encode;
  std::vector<int32_t> encode(std::string_view text) const override { return bytes_.encode(text); }
  std::string token_bytes(int32_t id) const override { return bytes_.token_bytes(id); }
  size_t cut_at(std::string_view text, size_t limit) const override {
    return cuts ? bytes_.cut_at(text, limit) : text.size();
  }
  std::string to_json() const override { return bytes_.to_json(); }

  bool cuts = true;

 private:
  text::ByteTokenizer bytes_;
};

TEST(Shards, EachDocumentBeginsWithBosWhereThereIsOne) {
  const TestFolder folder;
  const ShardSet set = three_documents(folder, WithBos());
  EXPECT_EQ(set.copy(set.all()),
            (std::vector<int32_t>{7, 'a', 'b', 256, 7, 'c', 256, 7, 'd', 'e', 256}));
  EXPECT_EQ(set.document(1), (TokenRange{4, 7}));
}

TEST(Shards, ATextThatCannotBeCutIsRefusedWhereTheMessageSays) {
  const TestFolder folder;
  WithBos tokenizer;
  tokenizer.cuts = false;
  ShardWriter writer(folder / "set", tokenizer);
  const std::string piece(kPieceBytes, 'x');
  int64_t fed = 0;
  const std::string said = error_of([&] {
    for (; fed < 300; ++fed) writer.add_text({.text = piece, .first = fed == 0});
  });
  EXPECT_EQ(fed, kMaxLineBytes >> 20) << "MiB taken before the one that is too much";
  EXPECT_NE(said.find("128 MiB"), std::string::npos) << said;
}

TEST(Shards, HoldTheDocumentsWithEosBetween) {
  const TestFolder folder;
  const text::ByteTokenizer tokenizer;
  const ShardSet set = three_documents(folder, tokenizer);
  const std::vector<int32_t> expected = {'a', 'b', 256, 'c', 256, 'd', 'e', 256};
  EXPECT_EQ(set.copy(set.all()), expected);
  for (int64_t i = 0; i < set.size(); ++i)
    EXPECT_EQ(set.token(i), expected[static_cast<size_t>(i)]);
  EXPECT_EQ(set.manifest().shards.size(), 3u);
  EXPECT_EQ(set.manifest().tokenizer_hash, tokenizer.hash());
  EXPECT_EQ(set.manifest().source, "here");
  EXPECT_EQ(set.manifest().parts.at(0).source_bytes, 5);
  EXPECT_EQ(set.document_count(), 3);
  EXPECT_EQ(set.document(0), (TokenRange{0, 3}));
  EXPECT_EQ(set.document(1), (TokenRange{3, 5}));
  EXPECT_EQ(set.document(2), (TokenRange{5, 8}));
  const int64_t owner[] = {0, 0, 0, 1, 1, 2, 2, 2};
  for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(set.document_at(i), owner[i]);
  EXPECT_EQ(text::load_tokenizer(folder / "set")->hash(), tokenizer.hash());
  EXPECT_THROW((void)set.copy({3, 9}), Error);
  EXPECT_THROW((void)set.copy({-1, 2}), Error);
  EXPECT_THROW((void)set.token(8), Error);
}

TEST(Shards, AreTheSameForAnyCutOfTheText) {
  const TestFolder folder;
  std::string text;
  Rng rng(1);
  for (int i = 0; i < 500; ++i) text += rng.below(3) == 0 ? "\xE2\x82\xAC" : "x";
  const auto tokenizer = text::CharTokenizer::train(text);
  const auto expected = tokenizer.encode(text);
  for (const int64_t shard : {33, 100, 1 << 20}) {
    const auto name = "set" + std::to_string(shard);
    ShardWriter writer(folder / name, tokenizer, {.shard_tokens = shard, .piece_bytes = 10});
    writer.add_document(std::string_view(text));
    writer.finish();
    EXPECT_EQ(ShardSet::open(folder / name).copy({0, 500}), expected);
  }
}

TEST(Shards, LargeVocabulariesTakeFourBytes) {
  const TestFolder folder;
  text::CharVocabulary vocabulary;
  for (char32_t c = 0x10000; c < 0x10000 + 65537; ++c) vocabulary.characters.push_back(c);
  const text::CharTokenizer tokenizer(vocabulary);
  ShardWriter writer(folder / "set", tokenizer);
  writer.add_document(std::vector<int32_t>{0, 65536, 65535});
  EXPECT_THROW(writer.add_document(std::vector<int32_t>{65537}), Error);
  EXPECT_EQ(writer.finish().token_bytes, 4);
  EXPECT_EQ(ShardSet::open(folder / "set").copy({0, 3}), (std::vector<int32_t>{0, 65536, 65535}));
}

TEST(Shards, NothingIsLeftOfAnUnfinishedSet) {
  const TestFolder folder;
  const text::ByteTokenizer tokenizer;
  { ShardWriter(folder / "set", tokenizer).add_document(std::string_view("text")); }
  EXPECT_FALSE(std::filesystem::exists(folder / "set"));
  EXPECT_THROW(ShardWriter(folder / "set", tokenizer).finish(), Error);
  EXPECT_THROW((void)ShardSet::open(folder / "set"), Error);
}

void flip_bit(const std::filesystem::path& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(1);
  const auto byte = static_cast<char>(file.get() ^ 0x10);
  file.seekp(1);
  file.put(byte);
}

// Each file of the set, cut short, grown, removed or with one bit turned, is found out.
TEST(Shards, DamageIsDetected) {
  const TestFolder folder;
  (void)three_documents(folder, text::ByteTokenizer());
  using Path = std::filesystem::path;
  const std::function<void(const Path&)> damages[] = {
      [](const Path& p) { std::filesystem::resize_file(p, std::filesystem::file_size(p) - 1); },
      [](const Path& p) { std::filesystem::resize_file(p, std::filesystem::file_size(p) + 2); },
      [](const Path& p) { std::filesystem::resize_file(p, 0); },
      [](const Path& p) { std::filesystem::remove(p); }, flip_bit};
  for (const char* name : {"tokens-00000.bin", "tokens-00002.bin", "documents.bin"}) {
    int number = 0;
    for (const auto& damage : damages) {
      std::filesystem::remove_all(folder / "copy");
      std::filesystem::copy(folder / "set", folder / "copy");
      damage(folder / "copy" / name);
      const std::string message = error_of([&] {
        const ShardSet set = ShardSet::open(folder / "copy");
        (void)set.copy(set.all());
      });
      EXPECT_NE(message.find(name), std::string::npos) << name << " " << number << ": " << message;
      ++number;
    }
  }
}

TEST(Shards, AWrongManifestIsRefused) {
  using io::Json;
  const std::function<void(Json&)> edits[] = {
      [](Json& j) { j.erase("format"); },
      [](Json& j) { j["version"] = 1; },
      [](Json& j) { j["version"] = ShardManifest::kVersion + 1; },
      [](Json& j) { j["dtype"] = "i64"; },
      [](Json& j) { j["dtype"] = "u32"; },
      [](Json& j) { j["tokens"] = 9; },
      [](Json& j) { j["tokens"] = -1; },
      [](Json& j) { j["vocab_size"] = 200; },
      [](Json& j) {
        j["vocab_size"] = 100;
        j["eos_id"] = 1;
      },
      [](Json& j) { j["eos_id"] = 257; },
      [](Json& j) { j["shards"].erase(1); },
      [](Json& j) { j["shards"] = 5; },
      [](Json& j) { j["shards"][0]["tokens"] = 1ull << 62; },
      [](Json& j) { j["shards"][0]["file"] = "../set/tokens-00000.bin"; },
      [](Json& j) { j["shards"][0]["xxh3_128"] = "00"; },
      [](Json& j) { j["documents"]["documents"] = 2; },
      [](Json& j) { j["documents"]["file"] = "/etc/passwd"; },
      [](Json& j) { j["shards"][0]["file"] = "tokens-00001.bin"; },
      [](Json& j) { j["parts"] = Json::array(); },
      [](Json& j) { j["parts"][0]["tokens"] = 7; },
      [](Json& j) { j["parts"][0]["documents"] = 2; },
      [](Json& j) { j["parts"][0]["held_out"] = "no"; },
      [](Json& j) {  // a border inside a document
        j["parts"].push_back(j["parts"][0]);
        j["parts"][0]["documents"] = 1, j["parts"][0]["tokens"] = 2;
        j["parts"][1]["documents"] = 2, j["parts"][1]["tokens"] = 6;
      },
  };
  const TestFolder folder;
  (void)three_documents(folder, text::ByteTokenizer());
  const auto path = folder / "set" / "manifest.json";
  const Json good = io::read_json_file(path);
  int number = 0;
  for (const auto& edit : edits) {
    Json json = good;
    edit(json);
    io::write_json_file(path, json);
    EXPECT_NE(error_of([&] { ShardSet::open(folder / "set").verify(); }), "") << "edit " << number;
    ++number;
  }
  io::write_json_file(path, good);
  EXPECT_EQ(error_of([&] { ShardSet::open(folder / "set").verify(); }), "");
}

TEST(Split, HoldsOutTheEnd) {
  const TestFolder folder;
  const text::ByteTokenizer tokenizer;
  ShardWriter writer(folder / "one", tokenizer);
  writer.add_document(std::vector<int32_t>(1115394, 1));
  writer.finish();
  const ShardSet one = ShardSet::open(folder / "one");
  // nanoGPT's data/shakespeare_char/prepare.py trains on 1,003,854 of these and keeps 111,540
  EXPECT_EQ(split_tokens(one, 0.1).train.at(0).ranges.at(0), (TokenRange{0, 1003854}));
  EXPECT_EQ(split_tokens(one, 0.1).validation.at(0).ranges.at(0).size(), 111540);
  EXPECT_EQ(split_tokens(one, 0).train.at(0).ranges.at(0), one.all());
  EXPECT_TRUE(split_tokens(one, 0).validation.empty());
  EXPECT_THROW((void)split_tokens(one, 1), Error);
  EXPECT_THROW((void)split_tokens(one, -0.1), Error);
  EXPECT_THROW((void)split_tokens(one, std::numeric_limits<double>::quiet_NaN()), Error);
}

// [0, 3) [3, 5) [5, 8) are the documents; the border is where the share says.
TEST(Split, CutsTheLastDocumentWhereTheShareAsksForIt) {
  const TestFolder folder;
  const ShardSet set = three_documents(folder, text::ByteTokenizer());
  EXPECT_EQ(split_tokens(set, 0.1).train.at(0).ranges.at(0), (TokenRange{0, 7}));
  EXPECT_EQ(split_tokens(set, 0.4).train.at(0).ranges.at(0), (TokenRange{0, 4}));
  EXPECT_THROW((void)split_tokens(set, 0.99), Error);
}

}  // namespace
}  // namespace adder::data
