// Whose tokenizer a fine-tuning uses, and which model it starts from.
#include "adder/cli/prepare_text.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "adder/base/error.h"
#include "adder/cli/fine_tuning.h"
#include "adder/cli/test_program.h"
#include "adder/io/json.h"
#include "adder/text/chat_template.h"
#include "adder/text/word_counter.h"
#include "adder/text/word_tokenizer.h"

namespace adder::cli {
namespace {

namespace fs = std::filesystem;

class FineTuning : public testing::Test {
 protected:
  FineTuning() {
    make_model(folder_ / "model");
    text_ = folder_.put("text.txt", "some words, and a few more of them than before");
    golden_ = std::string(ADDER_SOURCE_DIR) + "/tests/golden/tokenizers/";
  }

  /// A recipe that starts from the model; `data` and `flags` as a user gives them.
  LoadedRecipe load(const std::string& data, const std::vector<std::string>& flags = {}) const {
    LoadedRecipe loaded;
    Arguments args("train RECIPE", "", {});
    loaded.add_flags(args);
    EXPECT_TRUE(args.parse(flags));
    loaded.read(folder_.put("r.toml", "[train]\ninit = \"" + (folder_ / "model") +
                                          "\"\n[data]\ntext = [\"" + text_ + "\"]\ncache = \"" +
                                          (folder_ / "cache") + "\"\n" + data),
                args);
    return loaded;
  }

  static std::string refusal(LoadedRecipe loaded) {
    try {
      take_starting_model(loaded);
      prepare_text(loaded);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfig);
      return error.what();
    }
    return "accepted";
  }

  static std::string kind_of(LoadedRecipe loaded, bool resumed = false) {
    take_starting_model(loaded);
    return prepare_text(loaded, resumed).tokenizer->kind();
  }

  TestFolder folder_;
  std::string text_, golden_;
};

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(FineTuning, TakesTheModelsTokenizerWhateverItsFile) {
  LoadedRecipe loaded = load("");
  take_starting_model(loaded);
  EXPECT_EQ(prepare_text(loaded).tokenizer->kind(), "byte");
  EXPECT_EQ(loaded.recipe.data.tokenizer, folder_ / "model");  // what run.json will say
  fs::remove(folder_ / "model/tokenizer.json");
  fs::copy(golden_ + "llama2.model", folder_ / "model/tokenizer.model");
  EXPECT_EQ(kind_of(load("")), text::load_tokenizer(golden_ + "llama2.model")->kind());
}

TEST_F(FineTuning, AModelWithoutTokenizerNeedsOneThatIsNamed) {
  fs::remove(folder_ / "model/tokenizer.json");
  EXPECT_TRUE(holds(refusal(load("")), "data.tokenizer"));
  EXPECT_EQ(kind_of(load("tokenizer = \"char\"\n")), "char");
  EXPECT_EQ(kind_of(load("", {"--data.tokenizer", "byte"})), "byte");
}

TEST_F(FineTuning, AnotherTokenizerIsRefusedWithItsPlace) {
  EXPECT_TRUE(holds(refusal(load("tokenizer = \"char\"\n")), "r.toml:6"));
  EXPECT_TRUE(holds(refusal(load("", {"--data.tokenizer", golden_ + "llama3.json"})), "flag"));
  EXPECT_EQ(kind_of(load("tokenizer = \"byte\"\n")), "byte");  // the same
  EXPECT_EQ(kind_of(load("tokenizer = \"char\"\n"), /*resumed=*/true), "byte");
}

TEST_F(FineTuning, NewWordsAreAddedWhereAsked) {
  EXPECT_TRUE(holds(refusal(load("", {"--train.extend_vocab", "true"})), "\"byte\""));
  fs::remove(folder_ / "model/tokenizer.json");
  text::WordCounter counter({});
  counter.add("some old words");
  const text::WordTokenizer old(counter.make());
  old.save(folder_ / "model/word_tokenizer.json");
  EXPECT_TRUE(holds(refusal(load("tokenizer = \"word\"\n")), "train.extend_vocab"));
  for (const char* data : {"", "tokenizer = \"word\"\n"}) {
    LoadedRecipe loaded = load(data, {"--train.extend_vocab", "true"});
    take_starting_model(loaded);
    const auto prepared = prepare_text(loaded);
    EXPECT_EQ(prepared.tokenizer->encode("old words"), old.encode("old words"));
    EXPECT_EQ(prepared.tokenizer->id_of("few").value_or(0) >= old.vocab_size(), true);
    EXPECT_TRUE(prepared.tokenizer->dropped("more of them, and").empty());
  }
  EXPECT_TRUE(holds(refusal(load("", {"--train.extend_vocab", "true", "--data.tokenizer",
                                      golden_ + "llama3.json"})),
                    "which is another"));
}

TEST_F(FineTuning, OtherModelOptionsAreRefusedWithTheirPlace) {
  const std::string refused = refusal(load("[model]\nd_model = 32\n"));
  EXPECT_TRUE(holds(refused, "model.d_model = 32") && holds(refused, "r.toml:7")) << refused;
  EXPECT_TRUE(holds(refusal(load("", {"--model.n_layer", "3"})), "flag"));
  LoadedRecipe same = load("[model]\nd_model = 16\n");
  take_starting_model(same);
  EXPECT_EQ(same.recipe.model.n_layer, 2);
  EXPECT_EQ(same.recipe.model.vocab_size, 257);
}

TEST_F(FineTuning, StartsFromTheBestCheckpointOfARun) {
  const fs::path checkpoints = folder_ / "run/checkpoints";
  fs::create_directories(checkpoints);
  fs::rename(folder_ / "model", checkpoints / "step-00000007");
  folder_.put("run/checkpoints/best", "step-00000007\n");
  LoadedRecipe loaded = load("", {"--train.init", folder_ / "run"});
  take_starting_model(loaded);
  EXPECT_EQ(loaded.recipe.train.init, (checkpoints / "step-00000007").string());
  const auto planned = run_adder({"plan", folder_ / "r.toml", "--train.init", folder_ / "run"});
  EXPECT_EQ(planned.code, 0) << planned.err;
}

TEST_F(FineTuning, AnswersFarFromTheirBeginningAreCounted) {
  io::Json messages = io::Json::array();
  messages.push_back({{"role", "user"}, {"content", "a question"}});
  messages.push_back({{"role", "assistant"}, {"content", std::string(100, 'y')}});
  text_ = folder_.put("chats.jsonl", io::Json{{"messages", messages}}.dump() + "\n");
  LoadedRecipe loaded = load("chat_template = \"chatml\"\nval_fraction = 0\n");
  take_starting_model(loaded);
  const auto prepared = prepare_text(loaded);
  const std::vector<text::ChatMessage> chat = {{"user", "a question"},
                                               {"assistant", std::string(100, 'y')}};
  const auto encoded = text::ChatTemplate::find("chatml")->encode(chat, *prepared.tokenizer);
  double all = 0, far = 0;
  for (size_t t = 0; t < encoded.ids.size(); ++t) {
    all += encoded.answer[t];
    if (t >= 80) far += encoded.answer[t];
  }
  ASSERT_GT(far, 0);
  EXPECT_NEAR(cut_off_share(*prepared.shards, 80), far / all, 1e-12);
  EXPECT_EQ(cut_off_share(*prepared.shards, 1000), 0);
}

}  // namespace
}  // namespace adder::cli
