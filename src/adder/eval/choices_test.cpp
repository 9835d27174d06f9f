// Against tests/golden/make_tasks.py, which scores with transformers by the harness's rules.
#include "adder/eval/choices.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "adder/base/error.h"
#include "adder/base/thread_pool.h"
#include "adder/eval/characters.h"
#include "adder/infer/score.h"
#include "adder/text/char_tokenizer.h"
#include "adder/text/utf8.h"

namespace adder::eval {
namespace {

const std::filesystem::path kFolder = std::string(ADDER_SOURCE_DIR) + "/tests/golden/mamba2-plain";

text::CharTokenizer character_tokenizer(const std::string& characters) {
  text::CharVocabulary vocabulary;
  text::for_each_code_point(characters,
                            [&](char32_t c, size_t) { vocabulary.characters.push_back(c); });
  return text::CharTokenizer(vocabulary);
}

class Choices : public testing::Test {
 protected:
  ChoiceResult answered(const ChoiceItem& item) { return answer(model_, tokenizer_, item, start_); }

  const ThreadPool pool_{2};
  model::ModelDirectory directory_ = model::ModelDirectory::open(kFolder);
  infer::Model model_{directory_.config(), directory_.weights(), pool_};
  io::Json golden_ = io::read_json_file(kFolder / "tasks.golden.json");
  text::CharTokenizer tokenizer_ = character_tokenizer(golden_.at("characters").get<std::string>());
  int32_t start_ = golden_.at("start").get<int32_t>();
};

void expect_same(const io::Json& got, const io::Json& want) {
  for (const auto& [name, value] : want.items()) {
    const double figure = value.get<double>();
    EXPECT_NEAR(got.at(name).get<double>(), figure, 1e-4 * std::max(1.0, std::abs(figure))) << name;
  }
}

TEST_F(Choices, AgreeWithTransformersItemByItem) {
  TaskFile file(kFolder / "tasks.jsonl");
  TaskItem item;
  TaskScores scores;
  for (const io::Json& want : golden_.at("items")) {
    ASSERT_TRUE(file.next(item));
    if (const auto* choice = std::get_if<ChoiceItem>(&item)) {
      const ChoiceResult result = answered(*choice);
      const auto values = want.at("log_probabilities").get<std::vector<double>>();
      ASSERT_EQ(result.choices.size(), values.size()) << file.where();
      for (size_t i = 0; i < values.size(); ++i) {
        EXPECT_NEAR(result.choices[i].log_probability, values[i], 1e-3) << file.where();
      }
      EXPECT_EQ(result.best, want.at("best")) << file.where();
      EXPECT_EQ(result.best_norm, want.at("best_norm")) << file.where();
      EXPECT_EQ(result.best_bytes, want.at("best_bytes")) << file.where();
      scores.add(result);
    } else {
      const Likelihood result = answer(model_, tokenizer_, std::get<ClozeItem>(item), start_);
      EXPECT_NEAR(result.log_probability, want.at("log_probability").get<double>(), 1e-3);
      EXPECT_EQ(result.greedy, want.at("greedy")) << file.where();
      scores.add(result);
    }
  }
  EXPECT_FALSE(file.next(item));
  const io::Json found = scores.to_json();
  expect_same(found.at("choices"), golden_.at("scores").at("choices"));
  const double perplexity = golden_.at("scores").at("cloze").at("perplexity").get<double>();
  EXPECT_NEAR(std::log(found.at("cloze").at("perplexity").get<double>()), std::log(perplexity),
              1e-4);
  EXPECT_EQ(found.at("cloze").at("acc"), golden_.at("scores").at("cloze").at("acc"));
}

TEST_F(Choices, ASharedContextChangesNothing) {
  const ChoiceItem both{"abc de", {"fgh", "xyz"}, 0, " "};
  const auto together = answered(both).choices;
  for (size_t i = 0; i < 2; ++i) {
    const auto whole = tokenizer_.encode("abc de " + both.choices[i]);
    const auto losses = infer::token_losses(model_, whole);
    double sum = 0;
    for (size_t t = losses.size() - 4; t < losses.size(); ++t) sum -= losses[t];
    EXPECT_NEAR(together[i].log_probability, sum, 1e-4);
    EXPECT_EQ(together[i].tokens, 4);
  }
}

TEST_F(Choices, AnEmptyContextNeedsATokenToBeginWith) {
  EXPECT_THROW(answer(model_, tokenizer_, ChoiceItem{"", {"a", "b"}, 0, ""}, std::nullopt), Error);
  EXPECT_NO_THROW(answered({"", {"a", "b"}, 0, ""}));
}

/// Pairs "ab" are one token (2), "a" 0, "b" 1, " " 3: cutting matters, as with byte pairs.
class PairTokenizer final : public text::Tokenizer {
 public:
  std::string kind() const override { return "pairs"; }
  int64_t vocab_size() const override { return 4; }
  std::optional<int32_t> eos_id() const override { return std::nullopt; }
  std::vector<int32_t> encode(std::string_view text) const override {
    std::vector<int32_t> ids;
    for (size_t i = 0; i < text.size(); ++i) {
      const bool pair = text.substr(i, 2) == "ab";
      ids.push_back(pair ? 2 : text[i] == ' ' ? 3 : text[i] - 'a');
      i += pair;
    }
    return ids;
  }
  std::string token_bytes(int32_t) const override { return "?"; }
  size_t cut_at(std::string_view text, size_t) const override { return text.size(); }
  std::string to_json() const override { return "{}"; }
};

using Ids = std::vector<int32_t>;

TEST(EncodePairs, TheContinuationIsWhatComesAfterTheContextsLength) {
  const PairTokenizer tokenizer;
  const std::vector<std::string> continuations = {"ba", "b a"};
  // The whole is cut as one text ("a" + "ba" = "ab", "a"); the context stays as it is alone.
  const TokenPairs pairs = encode_pairs(tokenizer, "a", continuations, {});
  EXPECT_EQ(pairs.context, Ids({0}));
  EXPECT_EQ(pairs.continuations[0], Ids({0}));
  EXPECT_EQ(pairs.continuations[1], Ids({3, 0}));
  EXPECT_THROW(encode_pairs(tokenizer, "a", std::vector<std::string>{"b"}, {}), Error);
}

TEST(EncodePairs, SpaceAtTheEndOfTheContextMoves) {
  const PairTokenizer tokenizer;
  const TokenPairs pairs = encode_pairs(tokenizer, "ab  ", std::vector<std::string>{"b"}, {});
  EXPECT_EQ(pairs.context, Ids({2}));
  EXPECT_EQ(pairs.continuations[0], Ids({3, 3, 1}));
}

// As lm-evaluation-harness 0.4.13 has it, whose tokenizer adds bos by itself.
TEST(EncodePairs, BosComesFirstAndOnce) {
  const auto tokenizer =
      text::load_tokenizer(std::string(ADDER_SOURCE_DIR) + "/tests/golden/tokenizers/llama3.json");
  const int32_t bos = tokenizer->bos_id().value();
  const auto with_bos = [&](const std::string& text) {
    Ids ids = tokenizer->encode(text);
    ids.insert(ids.begin(), bos);
    return ids;
  };
  const std::vector<std::string> continuations = {" sat", " ran on"};
  const TokenPairs pairs = encode_pairs(*tokenizer, "The cat", continuations, 7);
  EXPECT_EQ(pairs.context, with_bos("The cat"));
  EXPECT_EQ(pairs.continuations[0], tokenizer->encode(" sat"));
  EXPECT_EQ(pairs.continuations[1], tokenizer->encode(" ran on"));
  EXPECT_EQ(encode_pairs(*tokenizer, "", continuations, 7).context, Ids({bos}));
  const TokenPairs written = encode_pairs(*tokenizer, "<|begin_of_text|>The cat", continuations, 7);
  EXPECT_EQ(written.context, pairs.context);
  EXPECT_EQ(written.continuations, pairs.continuations);
}

TEST(EncodePairs, WithoutBosNothingIsPutBefore) {
  EXPECT_EQ(encode_pairs(PairTokenizer(), "a", std::vector<std::string>{" b"}, 7).context,
            Ids({0}));
}

TEST_F(Choices, ALogProbabilityThatIsNoNumberIsAnError) {
  model::Weights weights = directory_.weights();
  model::TensorView& norm = weights.at("backbone.norm_f.weight");
  std::vector<float> broken(static_cast<size_t>(model::element_count(norm.shape)),
                            std::numeric_limits<float>::quiet_NaN());
  norm = {broken.data(), DType::f32, norm.shape};
  infer::Model model(directory_.config(), weights, pool_);
  try {
    answer(model, tokenizer_, ChoiceItem{"abc", {"d", "e"}, 0, ""}, start_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumeric);
  }
}

TEST(TaskScores, OneItemHasNoErrorBar) {
  TaskScores scores;
  scores.add(Likelihood{-2, 1, true});
  scores.add(ChoiceResult{});
  const io::Json json = scores.to_json();
  EXPECT_TRUE(json.at("cloze").at("acc_stderr").is_null());
  EXPECT_TRUE(json.at("cloze").at("perplexity_stderr").is_null());
  EXPECT_TRUE(json.at("choices").at("acc_norm_stderr").is_null());
}

TEST(Characters, AreCountedAndStrippedAsPythonDoes) {
  EXPECT_EQ(character_count("a\u00e9\u6f22\U0001f40d"), 4);
  EXPECT_EQ(without_trailing_space("a b\t\n \u00a0\u3000\u2028\x1f"), "a b");
  EXPECT_EQ(without_trailing_space("a\u200b"), "a\u200b");  // zero width: not white space
  EXPECT_EQ(without_trailing_space(" \n"), "");
}

TEST(TaskItems, MalformedLinesNameTheirPlace) {
  for (const char* line :
       {"[]", "{}", R"({"context": "a"})", R"({"context": "a", "choices": ["b"], "gold": 0})",
        R"({"context": "a", "choices": ["b", "c"], "gold": 2})",
        R"({"context": "a", "choices": ["b", ""], "gold": 0})",
        R"({"context": "a", "choices": ["b", 3], "gold": 0})", R"({"context": 1, "target": "b"})",
        R"({"context": "a", "target": ""})", R"({"target": "b"})", R"({"context": "a")"}) {
    try {
      parse_item(line, "tasks.jsonl:7");
      ADD_FAILURE() << line;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kFormat) << line;
      EXPECT_NE(std::string(error.what()).find("tasks.jsonl:7"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace adder::eval
