// A model with a word tokenizer, trained further on a text with new words.
#include "adder/train/grown_vocabulary.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "adder/base/error.h"
#include "adder/data/make_tokenizer.h"
#include "adder/io/file.h"
#include "adder/model/tensor_names.h"
#include "adder/nn/parameters.h"
#include "adder/text/word_counter.h"
#include "adder/train/next_token.h"

namespace adder::train {
namespace {

namespace fs = std::filesystem;

class GrownVocabularyTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("adder-grown-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    io::make_directories(folder_);
    recipe_.data.text = {text("old.txt", "the cat sat on the mat and the rat sat on the cat\n")};
    recipe_.data.tokenizer = "word";
    recipe_.data.val_fraction = 0;
    recipe_.data.cache = (folder_ / "cache").string();
    recipe_.model.d_model = 32;
    recipe_.model.n_layer = 1;
    recipe_.train.batch_size = 1;
    recipe_.train.length = 4;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string text(const std::string& name, const std::string& content) const {
    io::write_file_atomic(folder_ / name, content);
    return (folder_ / name).string();
  }

  /// The model of the old text, saved.
  std::string old_model() {
    NextTokenTask(recipe_, data::prepare(recipe_.data)).save((folder_ / "old").string());
    return (folder_ / "old").string();
  }

  /// The same, to be trained on a text that has "dog;" more.
  std::unique_ptr<NextTokenTask> grown() {
    const auto tokenizer = text::load_tokenizer(recipe_.train.init);
    recipe_.data.text = {text("new.txt", "the dog; the cat and the dog sat on the mat\n")};
    recipe_.train.extend_vocab = true;
    const auto extended =
        data::extend_tokenizer(dynamic_cast<const text::WordTokenizer&>(*tokenizer), recipe_.data);
    return std::make_unique<NextTokenTask>(recipe_, data::prepare(recipe_.data, {}, extended));
  }

  fs::path folder_;
  Recipe recipe_;
};

TEST_F(GrownVocabularyTest, NewRowsBeginAsTheMeanOfTheCharacters) {
  for (const bool tied : {true, false}) {
    SCOPED_TRACE(tied);
    recipe_.model.tie_embeddings = tied;
    recipe_.model.head_bias = !tied;
    recipe_.data.text = {(folder_ / "old.txt").string()};
    recipe_.train.extend_vocab = false;
    recipe_.train.init.clear();
    fs::remove_all(folder_ / "old");
    recipe_.train.init = old_model();
    const auto old = model::ModelDirectory::open(recipe_.train.init);
    const auto task = grown();
    const int64_t known = old.config().vocab_size;
    task->save((folder_ / "new").string());
    const auto read = text::load_tokenizer(folder_ / "new");
    const auto& tokenizer = dynamic_cast<const text::WordTokenizer&>(*read);
    ASSERT_EQ(tokenizer.vocab_size(), known + 3);  // ";" "g" and "dog"; "d" and "o" are known
    EXPECT_EQ(task->model().config().vocab_size, known + 3);

    const std::vector<const char*> tables =
        tied ? std::vector{model::kEmbedding}
             : std::vector{model::kEmbedding, model::kHead, model::kHeadBias};
    for (const char* name : tables) {
      const at::Tensor before = nn::borrow(old.weights().at(name));
      const at::Tensor after = task->model().parameters().at(name);
      EXPECT_TRUE(at::equal(after.slice(0, 0, known), before)) << name;
      at::Tensor sum = at::zeros_like(before[0]);
      int64_t characters = 0;
      for (int32_t id = 0; id < known; ++id) {
        if (!tokenizer.is_character(id)) continue;
        sum += before[id];
        ++characters;
      }
      const at::Tensor average = sum / characters;
      EXPECT_TRUE(at::allclose(after[*tokenizer.id_of(";")], average)) << name;
      const auto row = [&](char32_t character) {
        return after[tokenizer.vocabulary().find_character(character)];
      };
      const at::Tensor spelled = (row('d') + row('o') + row('g')) / 3;
      EXPECT_TRUE(at::allclose(after[*tokenizer.id_of("dog")], spelled)) << name;
    }
  }
}

TEST_F(GrownVocabularyTest, AResumedRunFindsNothingNew) {
  recipe_.train.init = old_model();
  const auto first = grown();
  first->save((folder_ / "new").string());
  recipe_.train.init = (folder_ / "new").string();
  const auto again = grown();
  EXPECT_EQ(again->tokenizer_json(), first->tokenizer_json());
  EXPECT_EQ(again->identity(), first->identity());
}

TEST_F(GrownVocabularyTest, WithoutTheOptionTheNewTokensAreRefused) {
  recipe_.train.init = old_model();
  grown();
  recipe_.train.extend_vocab = false;
  recipe_.data.tokenizer = "word";
  EXPECT_THROW(NextTokenTask(recipe_, data::prepare(recipe_.data)), Error);  // more than its rows
  recipe_.train.extend_vocab = true;
  EXPECT_THROW(NextTokenTask(recipe_, data::prepare(recipe_.data)), Error);  // not its tokens
  recipe_.train.lora.rank = 2;
  EXPECT_THROW(recipe_.check(), Error);
  recipe_.train.lora.rank = 0;
  recipe_.train.init.clear();
  EXPECT_THROW(recipe_.check(), Error);
}

TEST_F(GrownVocabularyTest, TheModelRemembersItsTokenizer) {
  for (const bool own : {false, true}) {
    recipe_.model.tie_embeddings = !own;
    recipe_.model.head_bias = own;  // no layout but Adder's has one
    const std::string folder = old_model();
    EXPECT_TRUE(fs::exists(fs::path(folder) / "word_tokenizer.json"));
    EXPECT_EQ(model::read_tokenizer_hash(model::config_file(folder)),
              text::load_tokenizer(folder)->hash());
    EXPECT_NO_THROW(model::ModelDirectory::open(folder));
  }
}

}  // namespace
}  // namespace adder::train
