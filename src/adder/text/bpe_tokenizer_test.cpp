#include "adder/text/bpe_tokenizer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <thread>

#include "adder/base/rng.h"
#include "adder/io/file.h"
#include "adder/text/sentencepiece.h"
#include "adder/text/test_support.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

namespace fs = std::filesystem;

std::string random_characters(uint64_t seed, int64_t count) {
  Rng rng(seed);
  std::string text;
  for (int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<char32_t>(rng.below(rng.below(2) == 0 ? 0x80 : 0x110000));
    if (value < 0xD800 || value > 0xDFFF) append_code_point(text, value);
  }
  return text;
}

/// A small file: the letters a to e, a space, and merges.
io::Json small_file() {
  return io::parse_json(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 9, "content": "<|endoftext|>", "special": true}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "ab": 4, "bc": 5,
      "abc": 6, "cd": 7, " ": 8}, "merges": ["b c", "a b", ["c", "d"], "a bc"]}})",
                        "small");
}

std::string error_of(const io::Json& file) {
  return message_of([&] { parse_tokenizer(file.dump(), "tokenizer.json"); });
}

/// The error after `change`, which says something about `about`.
void expect_refused(const std::function<void(io::Json&)>& change, const std::string& about) {
  io::Json file = small_file();
  change(file);
  const std::string said = error_of(file);
  EXPECT_NE(said.find(about), std::string::npos) << "wanted " << about << ", got " << said;
}

// By hand: of "abcd" first "b c" is merged, then "a bc"; "cd" finds no c left.
TEST(BpeTokenizer, MergesInTheOrderOfTheList) {
  const auto tokenizer = parse_tokenizer(small_file().dump(), "small");
  EXPECT_EQ(tokenizer->kind(), "bpe");
  EXPECT_EQ(tokenizer->vocab_size(), 10);
  EXPECT_EQ(tokenizer->eos_id(), 9);
  EXPECT_EQ(tokenizer->encode("abcd"), (std::vector<int32_t>{6, 3}));
  EXPECT_EQ(tokenizer->encode("abab cd"), (std::vector<int32_t>{4, 4, 8, 7}));
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{6, 9, 7}), "abccd");
  const std::string said = message_of([&] { (void)tokenizer->encode("abx"); });
  EXPECT_NE(said.find("'x'"), std::string::npos) << said;
  EXPECT_NE(message_of([&] { (void)tokenizer->encode("ab\xC3"); }).find("byte 2"),
            std::string::npos);
}

TEST(BpeTokenizer, LongWordsAreMergedAsShortOnesAre) {
  const auto tokenizer = parse_tokenizer(small_file().dump(), "small");
  Rng rng(7);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (uint64_t i = rng.below(200); i > 0; --i) text.push_back("abcd"[rng.below(4)]);
    std::vector<int32_t> expected;  // the list says: bc first, then ab, cd, abc, each left to right
    for (const char c : text) expected.push_back(c - 'a');
    for (const auto& [left, right, id] :
         {std::array{1, 2, 5}, std::array{0, 1, 4}, std::array{2, 3, 7}, std::array{0, 5, 6}}) {
      std::vector<int32_t> next;
      for (size_t i = 0; i < expected.size(); ++i) {
        const bool joins =
            i + 1 < expected.size() && expected[i] == left && expected[i + 1] == right;
        next.push_back(joins ? id : expected[i]);
        i += joins;
      }
      expected = next;
    }
    EXPECT_EQ(tokenizer->encode(text), expected) << text;
  }
}

TEST(BpeTokenizer, CharactersComeBack) {
  for (const char* name : {"llama3.json", "llama2.model"}) {
    const auto tokenizer = load_tokenizer(kGolden / name);
    for (uint64_t seed = 0; seed < 50; ++seed) {
      const std::string text = random_characters(seed, 200);
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text) << name;
    }
  }
}

TEST(BpeTokenizer, PlacesToCutChangeNoIds) {
  const auto check = [](const Tokenizer& tokenizer, const std::string& text, uint64_t seed) {
    Rng rng(seed);
    std::vector<int32_t> ids;
    for (std::string_view rest = text; !rest.empty();) {
      const size_t size = tokenizer.cut_at(rest, 1 + rng.below(rng.below(2) == 0 ? 20 : 5000));
      ASSERT_GT(size, 0u);
      const Before before = rest.size() == text.size() ? Before::kNothing : Before::kText;
      const auto piece = tokenizer.encode(rest.substr(0, size), EncodeOptions{.before = before});
      ids.insert(ids.end(), piece.begin(), piece.end());
      rest.remove_prefix(size);
    }
    EXPECT_EQ(ids, tokenizer.encode(text));
  };
  const auto llama3 = load_tokenizer(kGolden / "llama3.json");
  // "Van Helsing" is a token of this one: no place is safe.
  EXPECT_EQ(llama3->cut_at("some words", 5), 10u);
  io::Json file = io::parse_json(llama3->to_json(), "llama3");
  io::Json kept = io::Json::array();
  for (const auto& token : file["added_tokens"]) {
    if (token["content"] != "Van Helsing") kept.push_back(token);
  }
  file["added_tokens"] = kept;
  file["added_tokens"].push_back({{"id", *llama3->id_of("Van Helsing")}, {"content", "@@@"}});
  const auto cuts = parse_tokenizer(file.dump(), "cuts");
  EXPECT_EQ(cuts->cut_at("some words", 5), 4u);
  const auto llama2 = load_tokenizer(kGolden / "llama2.model");
  const std::string foreign =
      "\u041F\u0440\u0438\u0432\u0435\u0442 \u043C\u0438\u0440, \u0439\u043E\u0434\n"
      "\u4F60\u597D \u4E16\u754C\u3002\u518D\u89C1\uFF0C x\n\u0958 \u0958\n  a  b\u2581 c ";
  EXPECT_EQ(cuts->cut_at(foreign, 14), 12u);
  EXPECT_EQ(llama2->cut_at(foreign, 14), 12u);
  for (uint64_t seed = 0; seed < 100; ++seed) {
    check(*cuts, foreign + random_characters(seed, 9) + foreign, seed);
    check(*llama2, foreign + random_characters(seed, 9) + foreign, seed);
    check(*cuts, "word " + random_characters(seed, 60) + " <left> it's  \n x <right>   y\nwhole ",
          seed);
  }
  const char* folder = std::getenv("ADDER_TEST_DATA");
  if (folder == nullptr || *folder == '\0') GTEST_SKIP() << "ADDER_TEST_DATA is not set";
  const auto neox = load_tokenizer(fs::path(folder) / "tokenizer/gpt-neox-20b.json");
  uint64_t seed = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(folder) / "books")) {
    const std::string novel = io::read_file(entry.path(), 1 << 24);
    check(*neox, novel.substr(0, 300'000), ++seed);
    check(*cuts, novel.substr(0, 100'000), ++seed);
  }
}

TEST(BpeTokenizer, SpecialTokensAreParsedOnlyWhenAsked) {
  const auto tokenizer = load_tokenizer(kGolden / "llama3.json");
  const int32_t bos = *tokenizer->id_of("<|begin_of_text|>"), eot = *tokenizer->id_of("<|eot_id|>");
  EXPECT_EQ(tokenizer->bos_id(), bos);
  EXPECT_EQ(tokenizer->eos_id(), tokenizer->id_of("<|end_of_text|>"));
  EXPECT_EQ(tokenizer->encode("<|begin_of_text|><|eot_id|>", EncodeOptions{Specials::kParsed}),
            (std::vector<int32_t>{bos, eot}));
  for (const int32_t id : tokenizer->encode("<|begin_of_text|><|eot_id|>")) {
    EXPECT_TRUE(id != bos && id != eot);
  }
  EXPECT_EQ(tokenizer->token_bytes(eot), "");
  EXPECT_FALSE(tokenizer->id_of("<|no such|>"));
}

TEST(BpeTokenizer, SeveralThreadsMayEncode) {
  const auto tokenizer = load_tokenizer(kGolden / "llama3.json");
  const std::string text = random_characters(1, 5000);
  const auto expected = tokenizer->encode(text);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t i = 0; i < wrong.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) wrong[i] += tokenizer->encode(text) != expected;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST(BpeTokenizer, TheConfigSaysWhatEndsAText) {
  const fs::path folder = fs::temp_directory_path() / "adder-bpe-config";
  fs::create_directories(folder);
  fs::copy_file(kGolden / "llama3.json", folder / "tokenizer.json",
                fs::copy_options::overwrite_existing);
  const auto with = [&](const std::string& config) {
    io::write_file_atomic(folder / "tokenizer_config.json", config);
    return load_tokenizer(folder);
  };
  const auto eot = with(R"({"eos_token": {"content": "<|eot_id|>"}})");
  EXPECT_EQ(eot->eos_id(), eot->id_of("<|eot_id|>"));
  EXPECT_EQ(parse_tokenizer(eot->to_json(), "again")->eos_id(), eot->eos_id());
  EXPECT_NE(eot->hash(), with(R"({"eos_token": "<|end_of_text|>"})")->hash());
  const auto e = with(R"({"eos_token": "e"})");  // of the vocabulary, not listed among the added
  EXPECT_EQ(e->eos_id(), e->id_of("e"));
  EXPECT_EQ(parse_tokenizer(e->to_json(), "again")->eos_id(), e->eos_id());
  EXPECT_NE(message_of([&] { with(R"({"eos_token": "no such token"})"); }).find("eos_token"),
            std::string::npos);
  fs::remove_all(folder);
}

TEST(BpeTokenizer, MalformedFilesAreRefusedWithTheField) {
  const auto model = [](const char* key, io::Json value) {
    return [=](io::Json& file) { file["model"][key] = value; };
  };
  const auto vocab = [](const char* key, io::Json value) {
    return [=](io::Json& file) { file["model"]["vocab"][key] = value; };
  };
  const auto merges = [&](const char* text) { return model("merges", io::parse_json(text, "m")); };
  expect_refused(vocab("b", 0), "model.vocab");
  expect_refused(vocab("b", -1), "model.vocab");
  expect_refused(vocab("b", 1.5), "model.vocab");
  expect_refused(vocab("b", int64_t{1} << 31), "model.vocab");
  expect_refused(vocab("zz", 2'000'000'000), "model.vocab");
  expect_refused(merges(R"(["a d"])"), "[0]");
  expect_refused(merges(R"(["b c", "bc a"])"), "[1]");
  expect_refused(merges(R"(["abc"])"), "[0]");
  expect_refused(merges(R"([["a", "b", "c"]])"), "[0]");
  expect_refused(merges(R"([[1, 2]])"), "[0]");
  expect_refused(model("merges", "a b"), "merges");
  expect_refused(model("vocab", 3), "vocab");
  expect_refused(model("unk_token", "dog"), "unk_token");
  expect_refused(model("dropout", 0.1), "dropout");
  expect_refused(model("continuing_subword_prefix", "##"), "continuing_subword_prefix");
  expect_refused(model("type", "Unigram"), "Unigram");
  const auto added = [](io::Json token) {
    return [=](io::Json& file) { file["added_tokens"].push_back(token); };
  };
  expect_refused(added({{"id", 9}, {"content", "x"}}), "added_tokens[1].id");
  expect_refused(added({{"id", 12}, {"content", "<|endoftext|>"}}), "added_tokens[1].content");
  expect_refused(added({{"id", 3}, {"content", "x"}}), "x");
  expect_refused(added({{"id", 2'000'000'000}, {"content", "x"}}), "x");
  expect_refused(
      [](io::Json& file) {
        file["added_tokens"][0]["ends_text"] = true;
        file["added_tokens"].push_back({{"id", 12}, {"content", "x"}, {"ends_text", true}});
      },
      "added_tokens[1].ends_text");
  expect_refused(added({{"id", 12}, {"content", std::string(5000, 'x')}}), "added_tokens[1]");
}

TEST(BpeTokenizer, PartsThatAreNotKnownAreNamed) {
  const auto part = [](const char* key, const char* json) {
    return [=](io::Json& file) { file[key] = io::parse_json(json, "part"); };
  };
  expect_refused(part("normalizer", R"({"type": "Lowercase"})"), "normalizer");
  expect_refused(part("normalizer", R"({"type": "Sequence", "normalizers": [{"type": "Nmt"}]})"),
                 "normalizer.normalizers[0]");
  expect_refused(part("pre_tokenizer", R"({"type": "BertPreTokenizer"})"), "BertPreTokenizer");
  expect_refused(part("pre_tokenizer",
                      R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"},
                          {"type": "Digits"}]})"),
                 "pretokenizers[1]");
  expect_refused(part("decoder", R"({"type": "WordPiece"})"), "WordPiece");
  expect_refused(part("post_processor", R"({"type": "BertProcessing"})"), "BertProcessing");
  expect_refused(part("post_processor", R"({"type": "TemplateProcessing", "single": [
                      {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "x"}}]})"),
                 "single[1]");
  std::string deep = "null";
  for (int i = 0; i < 200; ++i) {
    deep = R"({"type": "Sequence", "normalizers": [)" + deep + "]}";
  }
  const std::string file = small_file().dump();
  EXPECT_NE(message_of([&] {
              parse_tokenizer("{\"normalizer\": " + deep + "," + file.substr(1), "deep");
            }).find("deep"),
            std::string::npos);
}

TEST(BpeTokenizer, HostilePatternsEndInAnError) {
  const auto split = [](const std::string& regex) {
    io::Json file = small_file();
    file["pre_tokenizer"] = {{"type", "Split"},
                             {"pattern", {{"Regex", regex}}},
                             {"behavior", "Isolated"},
                             {"invert", false}};
    return file;
  };
  for (const std::string& regex :
       {std::string(10'000'000, 'a'), std::string("(a"), std::string("(?C1)"),
        std::string("(*LIMIT_MATCH=1)a"), std::string("[[:alpha:]]"), std::string("(?s:a)"),
        std::string("\\Qa\\E"), std::string("\\b"), std::string("\\p{L&}"), std::string("(?i)ss"),
        std::string("(?i)\u00DF"), std::string("a(?i)b|c"), std::string("[a[b]]"),
        std::string("(((a{999}){999}){999})"), std::string("\\h"), std::string(100'000, '(')}) {
    const std::string said = error_of(split(regex));
    EXPECT_NE(said.find("pre_tokenizer.pattern.Regex"), std::string::npos) << said.substr(0, 300);
  }
  const auto slow = parse_tokenizer(split("(a+)+$x|(a|aa)+b").dump(), "slow");
  const std::string said = message_of([&] { (void)slow->encode(std::string(5000, 'a')); });
  EXPECT_NE(said.find("pattern"), std::string::npos) << said;
  // One search that takes hours: its work must be bounded inside of it.
  const auto hours = parse_tokenizer(split("a(?=.*?b.*?c)|z").dump(), "hours");
  EXPECT_NE(message_of([&] { (void)hours->encode(std::string(300'000, 'a')); }).find("too long"),
            std::string::npos);
}

TEST(BpeTokenizer, PatternsMayRememberMuch) {
  io::Json file = small_file();
  file["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"Regex", "(?:(a|b)(c|d))+"}}},
                           {"behavior", "Isolated"},
                           {"invert", false}};
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "ad";
  const auto tokenizer = parse_tokenizer(file.dump(), "groups");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

// By hand, from the five behaviours that the reference library documents.
TEST(BpeTokenizer, SplitBehaviours) {
  const auto ids = [](const std::string& behavior, bool invert, const std::string& text) {
    io::Json file = small_file();
    file["pre_tokenizer"] = {{"type", "Split"},
                             {"pattern", {{"String", "b"}}},
                             {"behavior", behavior},
                             {"invert", invert}};
    return parse_tokenizer(file.dump(), "split")->encode(text);
  };
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(ids("Isolated", false, "abcb"), (Ids{0, 1, 2, 1}));
  EXPECT_EQ(ids("Removed", false, "abcb"), (Ids{0, 2}));
  EXPECT_EQ(ids("Removed", true, "abcb"), (Ids{1, 1}));
  EXPECT_EQ(ids("MergedWithPrevious", false, "abcb"), (Ids{4, 2, 1}));
  EXPECT_EQ(ids("MergedWithNext", false, "abcab"), (Ids{0, 5, 0, 1}));
  EXPECT_EQ(ids("Contiguous", false, "abbc"), (Ids{0, 1, 1, 2}));
}

TEST(SentencePiece, TruncatedAndFlippedFilesNeverCrash) {
  const std::string whole = io::read_file(kGolden / "llama2.model", 1 << 20);
  const auto try_load = [](const std::string& content) {
    try {
      const auto tokenizer = parse_tokenizer(sentencepiece_to_json(content, "m"), "m");
      (void)tokenizer->encode("Count Dracula\n\xF0\x9F\x98\x80");
    } catch (const Error& error) {
      EXPECT_NE(error.kind(), ErrorKind::kInternal) << error.what();
    }
  };
  Rng rng(11);
  for (size_t size = 0; size < 300; ++size) try_load(whole.substr(0, size));
  for (int i = 0; i < 100; ++i) try_load(whole.substr(0, rng.below(whole.size())));
  for (int i = 0; i < 300; ++i) {
    std::string flipped = whole;
    flipped[rng.below(i % 2 == 0 ? 200 : whole.size())] ^= static_cast<char>(1 << rng.below(8));
    try_load(flipped);
  }
}

TEST(SentencePiece, OtherKindsAreRefused) {
  std::string unigram = io::read_file(kGolden / "llama2.model", 1 << 20);
  // trainer_spec (field 2): model_type (field 3) is the only "\x18\x02" after the pieces.
  const size_t at = unigram.rfind("\x18\x02");
  ASSERT_NE(at, std::string::npos);
  unigram[at + 1] = 1;
  const fs::path file = fs::temp_directory_path() / "adder-unigram.model";
  io::write_file_atomic(file, unigram);
  EXPECT_NE(message_of([&] { load_tokenizer(file); }).find("BPE"), std::string::npos);
  fs::remove(file);
}

}  // namespace
}  // namespace adder::text
