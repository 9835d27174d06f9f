// Ids of the reference libraries (tests/golden/make_tokenizers.py) against ours.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "adder/io/file.h"
#include "adder/io/hash.h"
#include "adder/io/json.h"
#include "adder/text/pattern.h"
#include "adder/text/test_support.h"
#include "adder/text/tokenizer.h"
#include "adder/text/unicode.h"

namespace adder::text {
namespace {

namespace fs = std::filesystem;

const io::Json& golden() {
  static const io::Json json = io::read_json_file(kGolden / "ids.json");
  return json;
}

std::optional<fs::path> test_data() {
  const char* folder = std::getenv("ADDER_TEST_DATA");
  if (folder == nullptr || *folder == '\0') return std::nullopt;
  return fs::path(folder);
}

std::string text_of(const io::Json& parts) {
  std::string text;
  for (const auto& part : parts) {
    const auto piece = part[0].get<std::string>();
    for (int64_t i = part[1].get<int64_t>(); i > 0; --i) text += piece;
  }
  return text;
}

void expect_ids(const std::vector<int32_t>& ids, const io::Json& expected, const std::string& of) {
  if (expected.contains("ids")) {
    EXPECT_EQ(ids, expected["ids"].get<std::vector<int32_t>>()) << of;
    return;
  }
  EXPECT_EQ(ids.size(), expected["count"].get<size_t>()) << of;
  EXPECT_EQ(io::hash128_hex(std::as_bytes(std::span(ids))), expected["hash"].get<std::string>())
      << of;
}

/// Hostile texts and, with test data, every novel; then the same with what to_json() writes.
void check(const fs::path& file, const std::string& name) {
  const auto loaded = load_tokenizer(file);
  const auto again = parse_tokenizer(loaded->to_json(), "again");
  EXPECT_EQ(loaded->to_json(), again->to_json());
  for (const Tokenizer* tokenizer : {loaded.get(), again.get()}) {
    for (const auto& entry : golden()["texts"]) {
      const bool is_long = entry["text"].size() > 1 || entry["text"][0][1] != 1;
      if (tokenizer == again.get() && is_long) continue;
      const std::string text = text_of(entry["text"]);
      const std::string shown = name + ": " + entry["text"].dump().substr(0, 200);
      const auto ids = tokenizer->encode(text);
      expect_ids(ids, entry[name], shown);
      const std::string parsed = entry.contains(name + "_parsed") ? name + "_parsed" : name;
      if (name != "llama2") {
        expect_ids(tokenizer->encode(text, EncodeOptions{Specials::kParsed}), entry[parsed],
                   "parsed " + shown);
      }
    }
  }
  const auto data = test_data();
  if (!data) GTEST_SKIP() << "ADDER_TEST_DATA is not set: the novels are left out";
  for (const auto& entry : golden()["novels"]) {
    const auto novel = entry["file"].get<std::string>();
    const std::string text = io::read_file(*data / "books" / novel, 1 << 24);
    expect_ids(loaded->encode(text), entry[name], name + ": " + novel);
  }
}

TEST(GoldenTokenizers, OtherParts) {
  const io::Json base = io::read_json_file(kGolden / "llama3.json");
  for (const auto& row : io::read_json_file(kGolden / "variants.json")) {
    io::Json file = base;
    for (const auto& [part, value] : row["patch"].items()) file[part] = value;
    const auto tokenizer = parse_tokenizer(file.dump(), "variant");
    for (size_t i = 0; i < row["texts"].size(); ++i) {
      EXPECT_EQ(tokenizer->encode(row["texts"][i].get<std::string>()),
                row["ids"][i].get<std::vector<int32_t>>())
          << row["patch"] << "\n"
          << row["texts"][i];
    }
  }
}

TEST(GoldenTokenizers, WordsThatPatternsCut) {
  for (const auto& row : io::read_json_file(kGolden / "patterns.json")) {
    const auto text = row["text"].get<std::string>();
    std::vector<std::string> words;
    size_t done = 0;
    const auto put = [&](size_t end) {
      if (end > done) words.push_back(text.substr(done, end - done));
      done = end;
    };
    Pattern(row["pattern"].get<std::string>(), "p").for_each_match(text, [&](size_t b, size_t e) {
      put(b);
      put(e);
    });
    put(text.size());
    EXPECT_EQ(words, row["words"].get<std::vector<std::string>>()) << row["pattern"];
  }
}

TEST(GoldenTokenizers, ClassesOfEveryCharacter) {
  std::string classes(0x110000, '\0');
  for (char32_t value = 0; value < classes.size(); ++value) {
    classes[value] = static_cast<char>(class_of(value));
  }
  EXPECT_EQ(io::hash128_hex(io::as_bytes(classes)), golden()["classes"].get<std::string>());
}

TEST(GoldenTokenizers, GptNeox) {
  const auto data = test_data();
  if (!data) GTEST_SKIP() << "ADDER_TEST_DATA is not set";
  check(*data / "tokenizer/gpt-neox-20b.json", "neox");
}

TEST(GoldenTokenizers, Llama3) {
  check(kGolden / "llama3.json", "llama3");
}

TEST(GoldenTokenizers, Llama2OfSentencePiece) {
  check(kGolden / "llama2.model", "llama2");
}

}  // namespace
}  // namespace adder::text
