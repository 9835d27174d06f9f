#include "adder/text/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>

#include "adder/base/rng.h"
#include "adder/io/json.h"
#include "adder/text/byte_level.h"
#include "adder/text/byte_tokenizer.h"
#include "adder/text/char_tokenizer.h"
#include "adder/text/test_support.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

std::string random_bytes(uint64_t seed, int64_t size) {
  Rng rng(seed);
  std::string bytes;
  for (int64_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(rng.below(256)));
  return bytes;
}

// Texts that go wrong in tokenizers: all valid UTF-8.
std::vector<std::string> hostile_texts() {
  std::string combining = "e";
  for (int i = 0; i < 100000; ++i) combining += "\xCC\x81";
  return {std::string("nul \0 inside", 12),
          "<eos><unk></s>",
          " \t\n\r\n   ",
          "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D \xE2\x80\xAE right to left",
          "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80 \xEF\xBF\xBD \xEF\xBB\xBF",
          combining,
          std::string(1000000, 'a')};
}

TEST(ByteTokenizer, RandomBytesComeBack) {
  const ByteTokenizer tokenizer;
  const std::string bytes = random_bytes(1, 100000);
  const auto ids = tokenizer.encode(bytes);
  EXPECT_EQ(ids.size(), bytes.size());
  EXPECT_EQ(tokenizer.decode(ids), bytes);
  EXPECT_EQ(tokenizer.encode("A\xFF"), (std::vector<int32_t>{65, 255}));
  EXPECT_EQ(tokenizer.token_bytes(*tokenizer.eos_id()), "");
  EXPECT_TRUE(tokenizer.encode("").empty());
}

TEST(CharTokenizer, IdsAreTheSortedCharacters) {
  const auto tokenizer = CharTokenizer::train(
      "b\xC3\xA9"
      "a\nb");
  EXPECT_EQ(tokenizer.vocab_size(), 4);
  EXPECT_EQ(tokenizer.encode("\nab\xC3\xA9"), (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{3, 0}), "\xC3\xA9\n");
  EXPECT_FALSE(tokenizer.eos_id());
  const auto full = CharTokenizer::train("ab", true, true);
  EXPECT_EQ(full.eos_id(), 2);
  EXPECT_EQ(full.unk_id(), 3);
  EXPECT_EQ(full.encode("axb"), (std::vector<int32_t>{0, 3, 1}));
}

TEST(CharTokenizer, UnknownCharactersAreNamedWithTheirOffset) {
  const auto tokenizer = CharTokenizer::train("ab");
  const std::string message = message_of([&] { (void)tokenizer.encode("ab\xC3\xA9"); });
  EXPECT_NE(message.find("U+00E9 '\xC3\xA9'"), std::string::npos) << message;
  EXPECT_NE(message.find("byte 2"), std::string::npos) << message;
  EXPECT_NE(message_of([&] { (void)tokenizer.encode("ab\xFF"); }).find("FF"), std::string::npos);
  EXPECT_THROW(CharTokenizer::train(""), Error);
  EXPECT_THROW(CharTokenizer::train("\xC0\x80"), Error);
}

TEST(Tokenizers, HostileTextComesBack) {
  for (const std::string& text : hostile_texts()) {
    const auto chars = CharTokenizer::train(text, true);
    EXPECT_EQ(chars.decode(chars.encode(text)), text);
    const ByteTokenizer bytes;
    EXPECT_EQ(bytes.decode(bytes.encode(text)), text);
  }
}

TEST(Tokenizers, CutTextGivesTheSameIds) {
  const std::string text =
      "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"
      "b";
  const auto chars = CharTokenizer::train(text);
  const ByteTokenizer bytes;
  for (const Tokenizer* tokenizer : std::initializer_list<const Tokenizer*>{&chars, &bytes}) {
    for (size_t limit = 1; limit <= text.size(); ++limit) {
      const size_t cut = tokenizer->cut_at(text, limit);
      ASSERT_GT(cut, 0u);
      auto ids = tokenizer->encode(text.substr(0, cut));
      for (const int32_t id : tokenizer->encode(text.substr(cut))) ids.push_back(id);
      EXPECT_EQ(ids, tokenizer->encode(text));
    }
  }
}

TEST(Tokenizers, IdsWithoutTextAreRefused) {
  const ByteTokenizer bytes;
  EXPECT_THROW((void)bytes.token_bytes(-1), Error);
  EXPECT_THROW((void)bytes.token_bytes(257), Error);
  EXPECT_THROW((void)CharTokenizer::train("ab").decode(std::vector<int32_t>{2}), Error);
}

TEST(ByteLevel, IsTheAlphabetOfGpt2) {
  EXPECT_EQ(byte_level_symbol(' '), "\xC4\xA0");   // U+0120
  EXPECT_EQ(byte_level_symbol('\n'), "\xC4\x8A");  // U+010A
  EXPECT_EQ(byte_level_code_point(0xAD), 0x143u);
  for (int byte = 0; byte < 256; ++byte) {
    const auto symbol = byte_level_code_point(static_cast<uint8_t>(byte));
    EXPECT_EQ(byte_level_byte(symbol), static_cast<uint8_t>(byte));
  }
  EXPECT_FALSE(byte_level_byte(0x144));
  EXPECT_FALSE(byte_level_byte(' '));
}

TEST(TokenizerFile, ComesBackEqual) {
  const ByteTokenizer bytes;
  const auto plain = CharTokenizer::train("hello \xF0\x9F\x98\x80\n\"\\\x01\x7F");
  const auto full = CharTokenizer::train("hello", true, true);
  for (const Tokenizer* made : std::initializer_list<const Tokenizer*>{&bytes, &plain, &full}) {
    const auto read = parse_tokenizer(made->to_json(), "tokenizer.json");
    EXPECT_EQ(read->kind(), made->kind());
    EXPECT_EQ(read->to_json(), made->to_json());
    EXPECT_EQ(read->hash(), made->hash());
    EXPECT_EQ(read->eos_id(), made->eos_id());
    EXPECT_EQ(read->encode("hello"), made->encode("hello"));
  }
  EXPECT_NE(plain.hash(), full.hash());
}

TEST(TokenizerFile, IsFoundInAModelFolder) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "adder_tokenizer_folder";
  std::filesystem::create_directories(folder);
  std::filesystem::remove(folder / "tokenizer.json");
  EXPECT_THROW((void)load_tokenizer(folder), Error);
  ByteTokenizer().save(folder / "tokenizer.json");
  EXPECT_EQ(load_tokenizer(folder)->kind(), "byte");
  EXPECT_EQ(load_tokenizer(folder / "tokenizer.json")->kind(), "byte");
  EXPECT_THROW((void)load_tokenizer(folder / "nothing"), Error);
  std::filesystem::remove_all(folder);
}

// Each edit makes a valid file wrong: a typed error, never a crash or a different tokenizer.
TEST(TokenizerFile, WrongFilesAreRefused) {
  using io::Json;
  const auto made = CharTokenizer::train("abc", true, true).to_json();
  const std::function<void(Json&)> edits[] = {
      [](Json& j) { j.erase("model"); },
      [](Json& j) { j["model"] = 3; },
      [](Json& j) { j["model"]["type"] = "Unigram"; },
      [](Json& j) { j["model"]["type"] = 7; },
      [](Json& j) { j["model"].erase("vocab"); },
      [](Json& j) {
        j["model"]["vocab"] = Json::array({"a", "b"});
      },
      [](Json& j) { j["model"]["vocab"]["a"] = 1; },
      [](Json& j) { j["model"]["vocab"]["a"] = -1; },
      [](Json& j) { j["model"]["vocab"]["a"] = 0.0; },
      [](Json& j) { j["model"]["vocab"]["a"] = "0"; },
      [](Json& j) { j["model"]["vocab"]["a"] = 4294967296; },
      [](Json& j) { j["model"]["vocab"]["z"] = 9; },
      [](Json& j) { j["model"]["vocab"]["zz"] = 5; },
      [](Json& j) { j["model"]["vocab"].erase("a"); },
      [](Json& j) { j["model"]["vocab"] = Json::object(); },
      [](Json& j) {
        j["normalizer"] = {{"type", "NFC"}};
      },
      [](Json& j) { j["decoder"] = nullptr; },
      [](Json& j) { j["pre_tokenizer"]["behavior"] = "Removed"; },
      [](Json& j) { j["pre_tokenizer"]["pattern"]["Regex"] = "\\w"; },
      [](Json& j) { j["added_tokens"] = 1; },
      [](Json& j) { j["added_tokens"][0]["id"] = 0; },
      [](Json& j) { j["added_tokens"][0]["id"] = 4; },
      [](Json& j) { j["added_tokens"][0]["special"] = false; },
      [](Json& j) { j["added_tokens"][0]["lstrip"] = true; },
      [](Json& j) { j["added_tokens"].push_back(j["added_tokens"][0]); },
  };
  int number = 0;
  for (const auto& edit : edits) {
    Json json = Json::parse(made);
    edit(json);
    EXPECT_THROW((void)parse_tokenizer(json.dump(), "t"), Error) << "edit " << number;
    ++number;
  }
  for (const char* text : {"", "[]", "nonsense", "{}", "{\"model\":{\"type\":\"BPE\"}}"}) {
    EXPECT_THROW((void)parse_tokenizer(text, "t"), Error) << text;
  }
  EXPECT_THROW((void)parse_tokenizer(std::string(100000, '['), "t"), Error);
}

TEST(TokenizerFile, EveryTruncationIsRefused) {
  const std::string json = CharTokenizer::train("ab", true).to_json();
  for (size_t size = 0; size + 2 < json.size(); ++size) {
    EXPECT_THROW((void)parse_tokenizer(json.substr(0, size), "t"), Error) << size;
  }
}

}  // namespace
}  // namespace adder::text
