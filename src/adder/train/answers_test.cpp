// Instruction tuning: the loss is that of the answers, and of nothing else.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "adder/infer/score.h"
#include "adder/io/file.h"
#include "adder/model/mamba2_spec.h"
#include "adder/ops/view.h"
#include "adder/text/chat_template.h"
#include "adder/train/next_token.h"

namespace adder::train {
namespace {

namespace fs = std::filesystem;
using Conversations = std::vector<std::vector<text::ChatMessage>>;

Conversations some_conversations(int first, int count) {
  Conversations all;
  for (int i = first; i < first + count; ++i) {
    const std::string n = std::to_string(i);
    all.push_back({{"user", "What is " + n + "?"},
                   {"assistant", n + " is a number."},
                   {"user", "Sure?"},
                   {"assistant", i % 2 == 0 ? "Yes." : "I think so."}});
  }
  return all;
}

std::string jsonl(const Conversations& conversations) {
  std::string text;
  for (const auto& conversation : conversations) {
    io::Json messages = io::Json::array();
    for (const auto& message : conversation)
      messages.push_back({{"role", message.role}, {"content", message.content}});
    text += io::Json{{"messages", messages}}.dump() + "\n";
  }
  return text;
}

TEST(Answers, TheLossIsTheirsAlone) {
  const fs::path folder = fs::temp_directory_path() / ("adder-answers-" + std::to_string(getpid()));
  fs::remove_all(folder);
  io::make_directories(folder);
  const Conversations held_out = some_conversations(100, 7);
  io::write_file_atomic(folder / "train.jsonl", jsonl(some_conversations(0, 20)));
  io::write_file_atomic(folder / "val.jsonl", jsonl(held_out));
  Recipe recipe;
  recipe.data.text = {(folder / "train.jsonl").string()};
  recipe.data.val_text = {(folder / "val.jsonl").string()};
  recipe.data.tokenizer = "byte";
  recipe.data.chat_template = "chatml";
  recipe.data.mode = "docs";
  recipe.data.cache = (folder / "cache").string();
  recipe.model.d_model = 32;
  recipe.model.n_layer = 1;
  static_cast<model::Mamba2Spec&>(recipe.model.mixers.at("mamba2")).head_dim = 16;
  recipe.train.batch_size = 3;
  recipe.train.length = 256;  // a whole conversation
  NextTokenTask task(recipe, data::prepare(recipe.data));
  nn::Context context;
  const auto metrics = task.evaluate(0, context);

  const auto prepared = data::prepare(recipe.data);
  infer::Model reader(task.model().config(), task.model().parameters().weights(),
                      ops::torch_pool());
  double sum = 0, count = 0;
  for (const auto& conversation : held_out) {
    const auto chat = text::ChatTemplate::find("chatml")->encode(conversation, *prepared.tokenizer);
    const auto losses = infer::token_losses(reader, chat.ids);
    for (size_t t = 0; t < losses.size(); ++t) {
      if (chat.answer[t + 1] != 0) sum += losses[t], ++count;
    }
  }
  EXPECT_GT(count, 7 * 20);
  EXPECT_EQ(metrics.at("tokens"), count);
  EXPECT_NEAR(metrics.at("loss"), sum / count, 1e-5);

  task.save((folder / "model").string());
  EXPECT_EQ(text::load_chat_template((folder / "model").string()).name(), "chatml");
  EXPECT_EQ(io::read_file(folder / "model/chat_template.jinja", 1 << 20),
            text::ChatTemplate::find("chatml")->to_jinja());

  // Trained further with another template: the old one goes from wherever it stands.
  io::write_file_atomic(folder / "model/tokenizer_config.json",
                        std::string("{\"chat_template\": \"old\", \"padding_side\": \"left\"}"));
  recipe.data.chat_template = "llama3";
  recipe.train.init = (folder / "model").string();
  recipe.train.sample_prompt = "What is 5?";
  NextTokenTask tuned(recipe, data::prepare(recipe.data));
  tuned.save((folder / "tuned").string());
  EXPECT_EQ(io::read_json_file(folder / "tuned/tokenizer_config.json"),
            io::Json({{"padding_side", "left"}}));
  EXPECT_EQ(text::load_chat_template((folder / "tuned").string()).name(), "llama3");
  EXPECT_EQ(io::read_file(folder / "tuned/chat_template.jinja", 1 << 20),
            text::ChatTemplate::find("llama3")->to_jinja());
  const text::ChatMessage turn{"user", recipe.train.sample_prompt};
  EXPECT_TRUE(
      tuned.sample(1).starts_with(text::ChatTemplate::find("llama3")->render({&turn, 1}, true)));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace adder::train
