#include "adder/text/word_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "adder/base/rng.h"
#include "adder/io/file.h"
#include "adder/text/test_support.h"
#include "adder/text/utf8.h"
#include "adder/text/word_counter.h"
#include "adder/text/word_text.h"

namespace adder::text {
namespace {

using Ids = std::vector<int32_t>;

WordTokenizer made_from(std::string_view text, WordOptions options = {},
                        std::vector<std::string> specials = {}) {
  WordCounter counter(options, std::move(specials));
  counter.add(text);
  return WordTokenizer(counter.make());
}

/// The texts of tokens; markers as "^", other control tokens as "<id>".
std::vector<std::string> pieces(const WordTokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> out;
  for (const int32_t id : tokenizer.encode(text)) {
    const std::string bytes = tokenizer.token_bytes(id);
    out.push_back(id == WordVocabulary::kJoin ? "^"
                  : bytes.empty()             ? "<" + std::to_string(id) + ">"
                                              : bytes);
  }
  return out;
}
using Pieces = std::vector<std::string>;

/// Token by token, as generation reads them.
std::string streamed(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) text += tokenizer.bytes_after(ids.first(i), ids[i]);
  return text;
}

/// The text without what the tokenizer drops, as it must come back.
std::string expected_back(const WordTokenizer& tokenizer, std::string_view text) {
  std::string buffer, out;
  for_each_code_point(word_text(text, buffer), [&](char32_t value, size_t) {
    if (tokenizer.vocabulary().find_character(value) >= 0) append_code_point(out, value);
  });
  return out;
}

Ids in_pieces(const WordTokenizer& tokenizer, std::string_view text, size_t limit) {
  Ids ids;
  for (bool first = true; !text.empty(); first = false) {
    const size_t cut = tokenizer.cut_at(text, limit);
    const auto more =
        tokenizer.encode(text.substr(0, cut), {.before = first ? Before::kNothing : Before::kText});
    ids.insert(ids.end(), more.begin(), more.end());
    text.remove_prefix(cut);
  }
  return ids;
}

// 4 control tokens; characters by code point; "cat" is seen twice, then words by their bytes.
TEST(WordTokenizer, IdsGoByCountThenByBytes) {
  const auto tokenizer = made_from("The cat sat, a cat.\n");
  const Pieces characters = {"\n", " ", ",", ".", "T", "a", "c", "e", "h", "s", "t"};
  const Pieces words = {"cat", "The", "a", "sat"};
  ASSERT_EQ(tokenizer.vocab_size(), 4 + 11 + 4);
  for (int32_t i = 0; i < 11; ++i) {
    EXPECT_EQ(tokenizer.token_bytes(4 + i), characters[static_cast<size_t>(i)]);
  }
  for (int32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(tokenizer.token_bytes(15 + i), words[static_cast<size_t>(i)]);
  }
  EXPECT_EQ(tokenizer.encode("The cat sat, a cat.\n"), (Ids{16, 15, 18, 6, 17, 15, 7, 4}));
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_FALSE(tokenizer.bos_id());
}

TEST(WordTokenizer, IdsGoByAppearanceWhereAsked) {
  const auto tokenizer = made_from("b c a c", {.order = "appearance"});
  EXPECT_EQ(tokenizer.encode("b c a"), (Ids{9, 10, 11}));
  const auto few = made_from("b c a c a", {.max_vocab = 11, .order = "appearance"});
  EXPECT_EQ(few.vocab_size(), 11);  // of the words, the two seen most often: c a
  EXPECT_EQ(few.encode("c a b"), (Ids{9, 10, *few.id_of("b")}));
}

TEST(WordTokenizer, SpacesHaveNoTokensWhereTheyAreUsual) {
  const auto tokenizer = made_from("x y (z), \"q\" don't well-known 12 - \xE2\x80\x94 $");
  EXPECT_EQ(pieces(tokenizer, "x (y), z"), (Pieces{"x", "(", "y", ")", ",", "z"}));
  EXPECT_EQ(pieces(tokenizer, "x \"y,\" z"), (Pieces{"x", "\"", "y", ",", "\"", "z"}));
  EXPECT_EQ(pieces(tokenizer, "don't well-known"), (Pieces{"don't", "well-known"}));
  EXPECT_EQ(pieces(tokenizer, "x\xE2\x80\x94y $12"), (Pieces{"x", "\xE2\x80\x94", "y", "$", "12"}));
  EXPECT_EQ(pieces(tokenizer, "x,y x - y"), (Pieces{"x", ",", "^", "y", "x", "^", "-", "^", "y"}));
  EXPECT_EQ(pieces(tokenizer, " x  y "), (Pieces{"^", "x", " ", " ", "y", " "}));
  EXPECT_EQ(pieces(tokenizer, "12x"), (Pieces{"12", "^", "x"}));
}

TEST(WordTokenizer, NewlinesGoByTwo) {
  const auto tokenizer = made_from("a\n\nb\n");
  EXPECT_EQ(pieces(tokenizer, "a\n\n\n\n\nb\n"), (Pieces{"a", "\n\n", "\n\n", "\n", "b", "\n"}));
  EXPECT_EQ(pieces(made_from("a\nb"), "a\n\nb"), (Pieces{"a", "\n", "\n", "b"}));
}

// The specification's example: four ids of characters, and no markers in one spelled word.
TEST(WordTokenizer, UnknownWordsAreSpelled) {
  const auto tokenizer = made_from("quiz vex, a");
  EXPECT_EQ(pieces(tokenizer, "vex zxqv quiz"), (Pieces{"vex", "z", "x", "q", "v", "quiz"}));
  const int32_t letter = tokenizer.vocabulary().find_character('a');
  EXPECT_EQ(pieces(tokenizer, "zx qv"), (Pieces{"z", "x", "^", "q", "v"}));
  EXPECT_NE(tokenizer.encode("a"), Ids{letter});  // the word
  EXPECT_EQ(tokenizer.encode("ax")[0], letter);
  const auto parts = made_from("well known - z x'");
  EXPECT_EQ(pieces(parts, "well-zxz"), (Pieces{"well", "-", "z", "x", "z"}));
  EXPECT_EQ(pieces(parts, "well-known"), (Pieces{"well", "-", "known"}));
}

TEST(WordTokenizer, UnknownCharactersAreDroppedAndCounted) {
  const auto tokenizer = made_from("a b");
  const std::string text = "a \xE2\x98\x83 b\xE2\x98\x83q\xFF";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), "a  b");
  const auto dropped = tokenizer.dropped(text);
  ASSERT_EQ(dropped.size(), 3u);
  EXPECT_EQ(dropped[0].character, "q");
  EXPECT_EQ(dropped[0].count, 1);
  EXPECT_EQ(dropped[1].character, "\xE2\x98\x83");
  EXPECT_EQ(dropped[1].count, 2);
  EXPECT_EQ(dropped[2].character, "\xEF\xBF\xBD");  // stands for what is no UTF-8
  EXPECT_TRUE(tokenizer.dropped("ab ba").empty());
  EXPECT_TRUE(tokenizer.encode("\xE2\x98\x83").empty());
}

TEST(WordTokenizer, LineEndsAndNormalFormsAreMadeAlike) {
  const auto tokenizer = made_from("caf\xC3\xA9\n");
  EXPECT_EQ(tokenizer.encode("cafe\xCC\x81\r\n"), tokenizer.encode("caf\xC3\xA9\n"));
  EXPECT_EQ(pieces(tokenizer, "caf\xC3\xA9\n"), (Pieces{"caf\xC3\xA9", "\n"}));
  EXPECT_EQ(made_from("cafe\xCC\x81\r\n").to_json().find("\\r"), std::string::npos);
}

TEST(WordTokenizer, LineEndsHaveNoCarriageReturnsBeforeThem) {
  std::string buffer;
  EXPECT_EQ(word_text("a\r\r\n\r\nb\rc\r", buffer), "a\n\nb\rc\r");
  EXPECT_EQ(word_text("\r\r\n", buffer), "\n");
}

TEST(WordTokenizer, FoldsCase) {
  const auto tokenizer = made_from("Word word A McGee \xC3\x89t\xC3\xA9", {.fold_case = true});
  const Ids word = tokenizer.encode("word");
  ASSERT_EQ(word.size(), 1u);
  EXPECT_EQ(tokenizer.encode("Word"), (Ids{WordVocabulary::kCapital, word[0]}));
  EXPECT_EQ(tokenizer.encode("WORD"), (Ids{WordVocabulary::kUpper, word[0]}));
  EXPECT_EQ(tokenizer.encode(",Word").back(), word[0]);
  for (const char* text : {"Word WORD word wORD", "A a", "McGee MCGEE mcgee", "(Word)",
                           "\xC3\x89T\xC3\x89 \xC3\xA9t\xC3\xA9 \xC3\x89t\xC3\xA9"}) {
    const Ids ids = tokenizer.encode(text);
    EXPECT_EQ(tokenizer.decode(ids), expected_back(tokenizer, text));
    EXPECT_EQ(streamed(tokenizer, ids), tokenizer.decode(ids));
  }
}

TEST(WordTokenizer, ImplicitSpacesAreTheUsualOnes) {
  const auto tokenizer = made_from("x y z q , - \xC3\x9F", {.space = "implicit"});
  EXPECT_EQ(pieces(tokenizer, " x   y ,z "), (Pieces{"x", "y", ",", "z"}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("x ,y")), "x, y");
  EXPECT_EQ(pieces(tokenizer, "xy zq"), (Pieces{"x", "y", "^", "z", "q"}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("x xy zq x")), "x xy zq x");
}

TEST(WordTokenizer, ControlTokensAreFoundOnlyWhereAsked) {
  const auto tokenizer = made_from("hello <|im_end|>", {}, {"<|im_end|>"});
  const int32_t end = *tokenizer.id_of("<|im_end|>");
  EXPECT_EQ(end, 4);
  EXPECT_EQ(tokenizer.token_bytes(end), "");
  EXPECT_TRUE(tokenizer.is_added(end));
  const EncodeOptions parsed{.specials = Specials::kParsed};
  EXPECT_EQ(tokenizer.encode("hello<|im_end|>hello", parsed),
            (Ids{*tokenizer.id_of("hello"), end, *tokenizer.id_of("hello")}));
  const std::vector<std::string> said = {"hello<|im_end|>"};
  const EncodeOptions plain{.specials = Specials::kParsed, .plain_in = said};
  EXPECT_EQ(tokenizer.encode(said[0], plain), tokenizer.encode(said[0]));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(said[0])), said[0]);
}

TEST(WordTokenizer, MarkersAreNoControlTokens) {
  const auto tokenizer = made_from("hello", {.fold_case = true}, {"<|im_end|>"});
  for (const char* name : {"<pad>", "<bos>", "<eos>", "<|im_end|>"}) {
    EXPECT_TRUE(tokenizer.is_control(*tokenizer.id_of(name))) << name;
  }
  for (const char* name : {"<join>", "<capital>", "<upper>", "hello"}) {
    EXPECT_FALSE(tokenizer.is_control(*tokenizer.id_of(name))) << name;
  }
}

TEST(WordTokenizer, TheLastSpaceOfAPromptComesWithTheNextWord) {
  const auto tokenizer = made_from("The cat\n");
  Ids ids = encode_beginning(tokenizer, "The ");
  EXPECT_EQ(ids, tokenizer.encode("The"));
  EXPECT_EQ(tokenizer.bytes_after(ids, *tokenizer.id_of("cat")), " cat");
  EXPECT_EQ(encode_beginning(tokenizer, "The  "), tokenizer.encode("The  "));
  EXPECT_EQ(encode_beginning(tokenizer, "\n"), tokenizer.encode("\n"));
}

TEST(WordTokenizer, EmptyTextsAndTextsWithoutAnEnd) {
  const auto nothing = made_from("");
  EXPECT_EQ(nothing.vocab_size(), 4 + 2);  // the space and the line end are always there
  EXPECT_TRUE(nothing.encode("").empty());
  EXPECT_TRUE(nothing.encode("abc").empty());
  EXPECT_EQ(nothing.decode(nothing.encode("\n \n")), "\n \n");
  EXPECT_EQ(made_from("one two").encode("two"), made_from("one two\n").encode("two"));
}

// ---- every text comes back ----

/// Texts of many characters of all sorts, often the ones that take part in rules.
std::string random_text(Rng& rng, int64_t size) {
  static const std::u32string kOften =
      U"  "
      U"\n\n.,'\"-()_*/$aab\u2019\u201C\u201D\u2014\u00E9XYZ019&\u2603\u0301\u4E2D\uFF0C\t\r\r\r#%";
  std::string text;
  for (int64_t i = 0; i < size; ++i) {
    char32_t value = kOften[static_cast<size_t>(rng.below(kOften.size()))];
    if (rng.below(8) == 0) {
      value = static_cast<char32_t>(rng.below(rng.below(2) == 0 ? 0x3000 : 0x30000));
      if (value >= 0xD800 && value < 0xE000) value = U'q';
    }
    append_code_point(text, value);
  }
  return text;
}

TEST(WordTokenizer, RandomTextsComeBackWholeStreamedAndInPieces) {
  Rng rng(7);
  for (int round = 0; round < 300; ++round) {
    const WordOptions options{.min_count = 1 + round % 3, .fold_case = round % 2 == 0};
    const auto tokenizer = made_from(random_text(rng, 200), options);
    const std::string text = random_text(rng, 300);
    const Ids ids = tokenizer.encode(text);
    ASSERT_EQ(tokenizer.decode(ids), expected_back(tokenizer, text)) << round;
    std::string once, twice;
    const std::string normal(word_text(text, once));
    ASSERT_EQ(word_text(normal, twice), normal) << round;
    ASSERT_EQ(streamed(tokenizer, ids), tokenizer.decode(ids)) << round;
    for (const size_t limit : {1, 7, 50}) {
      ASSERT_EQ(in_pieces(tokenizer, text, limit), ids) << round << " pieces of " << limit;
    }
  }
}

// Tokens that no text gives, in any order, as a model may draw them.
TEST(WordTokenizer, AnyTokensStreamAsTheyDecode) {
  Rng rng(8);
  const auto tokenizer =
      made_from("Say \"it\" '_*', a b 1 - (x)\n\nEnd", {.fold_case = true}, {"<s>"});
  for (int round = 0; round < 300; ++round) {
    Ids ids;
    for (int i = 0; i < 40; ++i) {
      const auto marker = static_cast<int32_t>(3 + rng.below(3));
      const auto any =
          static_cast<int32_t>(rng.below(static_cast<uint64_t>(tokenizer.vocab_size())));
      ids.push_back(rng.below(3) == 0 ? marker : any);
    }
    ASSERT_EQ(streamed(tokenizer, ids), tokenizer.decode(ids));
  }
}

TEST(WordTokenizer, ImplicitTextsAreEncodedInPiecesAlike) {
  Rng rng(9);
  for (int round = 0; round < 100; ++round) {
    const auto tokenizer = made_from(random_text(rng, 200), {.space = "implicit"});
    const std::string text = random_text(rng, 300);
    const Ids ids = tokenizer.encode(text);
    ASSERT_EQ(in_pieces(tokenizer, text, 20), ids);
    ASSERT_EQ(streamed(tokenizer, ids), tokenizer.decode(ids));
  }
}

TEST(WordTokenizer, NovelsComeBack) {
  const char* data = std::getenv("ADDER_TEST_DATA");
  if (data == nullptr || *data == 0) GTEST_SKIP() << "ADDER_TEST_DATA is not set";
  WordCounter counter({.min_count = 2});
  std::string text;
  for (const char* name : {"sherlock-holmes.txt", "pride-and-prejudice.txt"}) {
    text += io::read_file(std::filesystem::path(data) / "books" / name, 1 << 24);
  }
  counter.add(text);
  const WordTokenizer tokenizer(counter.make());
  const Ids ids = tokenizer.encode(text);
  EXPECT_GT(text.size(), size_t{1} << 20);
  EXPECT_EQ(tokenizer.decode(ids), expected_back(tokenizer, text));
  EXPECT_TRUE(tokenizer.dropped(text).empty());
  EXPECT_EQ(streamed(tokenizer, std::span(ids).first(20000)),
            tokenizer.decode(std::span(ids).first(20000)));
  EXPECT_EQ(in_pieces(tokenizer, text, 5000), ids);
}

// ---- making ----

TEST(WordCounter, PiecesCountLikeTheWhole) {
  Rng rng(10);
  const std::string text = random_text(rng, 5000);
  WordCounter whole({.fold_case = true}), pieces({.fold_case = true});
  whole.add(text);
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = std::string_view(text).substr(at);
    const size_t size = code_point_boundary(rest, 1 + rng.below(200));
    pieces.add(rest.substr(0, size), at + size == text.size());
    at += size;
  }
  EXPECT_EQ(WordTokenizer(whole.make()).to_json(), WordTokenizer(pieces.make()).to_json());
}

TEST(WordCounter, LineEndsAreNotPartedByPieces) {
  WordCounter counter({});
  counter.add("x\n\n", false);
  counter.add("y\r", false);
  counter.add("\n");
  const WordVocabulary made = counter.make();
  EXPECT_GE(made.find_word("\n\n"), 0);
  EXPECT_LT(made.find_character('\r'), 0);
}

TEST(WordCounter, AWordThatIsCutIsNotCounted) {
  WordCounter counter({});
  counter.add("one tw", false);
  counter.cut();
  counter.add("o three\n");
  const WordVocabulary made = counter.make();
  for (const char* word : {"one", "o", "three"}) EXPECT_GE(made.find_word(word), 0) << word;
  for (const char* word : {"tw", "two"}) EXPECT_LT(made.find_word(word), 0) << word;
}

TEST(WordCounter, ControlTokensOfEveryVocabularyMayBeAskedFor) {
  const auto tokenizer = made_from("a", {}, {"<bos>", "<|end|>", "<pad>", "<eos>"});
  EXPECT_EQ(tokenizer.vocabulary().specials(), std::vector<std::string>{"<|end|>"});
}

// U+023A has two bytes, its small letter three.
TEST(WordCounter, WordsThatFoldingMakesTooLongAreSpelled) {
  std::string longest;
  for (int i = 0; i < 64; ++i) longest += "\xC8\xBA";
  const auto tokenizer = made_from(longest, {.fold_case = true});
  EXPECT_EQ(tokenizer.encode(longest).size(), 64u);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(longest)), longest);
}

TEST(WordCounter, TheOrderOfDocumentsDoesNotMatter) {
  const std::vector<std::string> documents = {"one two two", "three one\n", "four", "four"};
  WordCounter forward({}), backward({}), other({});
  for (const auto& text : documents) forward.add(text);
  for (size_t i = documents.size(); i-- > 0;) backward.add(documents[i]);
  for (const char* text : {"one two two", "three one\n", "four four"}) other.add(text);
  EXPECT_EQ(WordTokenizer(forward.make()).to_json(), WordTokenizer(backward.make()).to_json());
  EXPECT_NE(forward.make().blocks()[0].corpus, other.make().blocks()[0].corpus);
  EXPECT_EQ(forward.make().hash(), other.make().hash());
}

TEST(WordCounter, OptionsSayWhichWordsGetTokens) {
  const std::string text = "a a a bb bb cc";
  EXPECT_EQ(pieces(made_from(text, {.min_count = 2}), "bb cc"), (Pieces{"bb", "c", "c"}));
  EXPECT_EQ(pieces(made_from(text, {.max_vocab = 4 + 5 + 1}), "a bb"), (Pieces{"a", "b", "b"}));
  EXPECT_NE(message_of([&] { made_from(text, {.max_vocab = 5}); }).find("max_vocab"),
            std::string::npos);
  EXPECT_THROW(WordCounter({.min_count = 0}), Error);
  EXPECT_THROW(WordCounter({.max_vocab = -1}), Error);
  const std::string longest(129, 'x');
  EXPECT_EQ(made_from(longest).encode(longest).size(), 129u);
}

TEST(WordCounter, ExtensionKeepsOldIds) {
  const auto old = made_from("the cat sat\n");
  WordCounter counter({});
  counter.add("the dog; the dog barks\n");
  const WordTokenizer grown(counter.extend(old.vocabulary()));
  EXPECT_TRUE(grown.extends(old));
  EXPECT_FALSE(old.extends(grown));
  EXPECT_EQ(grown.encode("the cat sat"), old.encode("the cat sat"));
  const auto first = static_cast<int32_t>(old.vocab_size());  // ";" b d g k o r, then the words
  EXPECT_EQ(grown.encode("dog barks;"), (Ids{first + 7, first + 8, first}));
  EXPECT_EQ(grown.spelling(first + 7), (Ids{first + 2, first + 5, first + 3}));
  EXPECT_EQ(grown.spelling(*grown.id_of("cat")), old.spelling(*old.id_of("cat")));
  const WordTokenizer again(counter.extend(grown.vocabulary()));
  EXPECT_EQ(again.to_json(), grown.to_json());
}

// The same texts in the same order.
TEST(WordVocabulary, TheHashTellsControlTokensFromCharacters) {
  const WordVocabulary control({}, {"x"}, {{.characters = {U'\n', U' '}}});
  const WordVocabulary character({}, {}, {{.characters = {U'x', U'\n', U' '}}});
  EXPECT_NE(control.hash(), character.hash());
}

// ---- the file ----

TEST(WordTokenizerFile, ComesBackEqual) {
  const auto plain = made_from("hello \xF0\x9F\x98\x80\n\n\"\\\x01\x7F", {}, {"<|im_end|>"});
  WordCounter counter({.min_count = 1, .fold_case = true});
  counter.add("new WORDS here");
  const auto folded = made_from("Hello", {.min_count = 1, .fold_case = true});
  const WordTokenizer grown(counter.extend(folded.vocabulary()));
  for (const WordTokenizer* tokenizer : {&plain, &folded, &grown}) {
    const auto read = parse_tokenizer(tokenizer->to_json(), "word_tokenizer.json");
    EXPECT_EQ(read->kind(), "word");
    EXPECT_EQ(read->to_json(), tokenizer->to_json());
    EXPECT_EQ(read->encode("hello Words"), tokenizer->encode("hello Words"));
    EXPECT_EQ(read->vocab_size(), tokenizer->vocab_size());
  }
  const auto folder = std::filesystem::path(testing::TempDir()) / "adder_word_folder";
  std::filesystem::create_directories(folder);
  plain.save(folder / plain.file_name());
  EXPECT_EQ(load_tokenizer(folder)->hash(), plain.hash());
  std::filesystem::remove_all(folder);
}

TEST(WordTokenizerFile, TokensThatStandTwiceAreRefused) {
  const std::vector<char32_t> characters = {U'\n', U' ', U'a'};
  EXPECT_NO_THROW(WordVocabulary({}, {}, {{.characters = characters, .words = {"a", "aa"}}}));
  EXPECT_THROW(WordVocabulary({}, {}, {{.characters = characters, .words = {"a", "a"}}}), Error);
  EXPECT_THROW(WordVocabulary({}, {}, {{.characters = characters}, {.characters = {U'a'}}}), Error);
  EXPECT_THROW(WordVocabulary({}, {"<s>", "<s>"}, {{.characters = characters}}), Error);
}

TEST(WordTokenizerFile, WrongFilesAreRefused) {
  using io::Json;
  const auto made = made_from("ab cd 12", {}, {"<s>"}).to_json();
  const std::function<void(Json&)> edits[] = {
      [](Json& j) { j.erase("version"); },
      [](Json& j) { j["version"] = 2; },
      [](Json& j) { j["type"] = "words"; },
      [](Json& j) { j.erase("options"); },
      [](Json& j) { j["options"]["space"] = "none"; },
      [](Json& j) { j["options"]["order"] = 1; },
      [](Json& j) { j["options"]["min_count"] = 0; },
      [](Json& j) { j["options"]["fold_case"] = true; },
      [](Json& j) { j["vocabulary_hash"] = "0"; },
      [](Json& j) { j["control"] = 1; },
      [](Json& j) { j["control"][3] = "<mark>"; },
      [](Json& j) { j["control"].push_back(""); },
      [](Json& j) { j["control"].push_back("<s>"); },
      [](Json& j) { j["control"].push_back("<t>"); },
      [](Json& j) { j["blocks"] = Json::array(); },
      [](Json& j) { j["blocks"][0]["corpus"] = std::string(31, '0'); },
      [](Json& j) { j["blocks"][0]["corpus"] = std::string(32, 'g'); },
      [](Json& j) { j["blocks"][0]["characters"].erase(0); },
      [](Json& j) { j["blocks"][0]["characters"][3] = "ab"; },
      [](Json& j) { j["blocks"][0]["characters"][3] = ""; },
      [](Json& j) { j["blocks"][0]["characters"][3] = "a"; },
      [](Json& j) { j["blocks"][0]["words"][0] = "cd"; },
      [](Json& j) { j["blocks"][0]["words"][0] = "a b"; },
      [](Json& j) { j["blocks"][0]["words"][0] = ""; },
      [](Json& j) { j["blocks"][0]["words"][0] = "ax"; },
      [](Json& j) { j["blocks"][0]["words"][0] = ","; },
      [](Json& j) { j["blocks"][0]["words"][0] = 3; },
      [](Json& j) { j["blocks"][0]["words"][0] = std::string(129, 'a'); },
      [](Json& j) { j["blocks"][0]["words"].push_back("aa"); },
      [](Json& j) { j["blocks"].push_back(j["blocks"][0]); },
  };
  int number = 0;
  for (const auto& edit : edits) {
    Json json = Json::parse(made);
    edit(json);
    EXPECT_THROW((void)parse_tokenizer(json.dump(), "t"), Error) << "edit " << number;
    ++number;
  }
  for (size_t size = 0; size + 2 < made.size(); ++size) {
    EXPECT_THROW((void)parse_tokenizer(made.substr(0, size), "t"), Error) << size;
  }
}

}  // namespace
}  // namespace adder::text
