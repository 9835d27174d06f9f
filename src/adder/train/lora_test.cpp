// Fine-tuning with adapters, from a trained model to files that others read.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "adder/base/error.h"
#include "adder/data/generate/offline.h"
#include "adder/infer/score.h"
#include "adder/io/file.h"
#include "adder/io/json.h"
#include "adder/model/mamba2_spec.h"
#include "adder/nn/lora.h"
#include "adder/ops/view.h"
#include "adder/train/checkpoints.h"
#include "adder/train/next_token.h"
#include "adder/train/stop_signals.h"
#include "adder/train/trainer.h"

namespace adder::train {
namespace {

namespace fs = std::filesystem;

/// A text unlike the stories.
std::string counting() {
  std::string text;
  for (int i = 0; i < 900; ++i) text += "then " + std::to_string(i * i % 97) + " and on. ";
  return text;
}

class LoraTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("adder-lora-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    io::make_directories(folder_);
    std::string text;
    data::generate_stories(1, 40000, [&](std::string_view story) { text += story; });
    io::write_file_atomic(folder_ / "stories.txt", text);
    io::write_file_atomic(folder_ / "counting.txt", counting());
    recipe_.data.text = {(folder_ / "stories.txt").string()};
    recipe_.data.tokenizer = "byte";
    recipe_.data.cache = (folder_ / "cache").string();
    recipe_.model.d_model = 32;
    recipe_.model.n_layer = 2;
    auto& mamba2 = static_cast<model::Mamba2Spec&>(recipe_.model.mixers.at("mamba2"));
    mamba2.d_state = 16;
    mamba2.head_dim = 16;
    recipe_.train.batch_size = 2;
    recipe_.train.length = 48;
    recipe_.train.threads = 1;
    recipe_.train.steps = 40;
    recipe_.train.schedule.warmup_steps = 5;
    recipe_.train.optimizer.lr = 5e-3;
    recipe_.train.sample_tokens = 5;
    base_ = train_into("base").checkpoint;
    recipe_.data.text = {(folder_ / "counting.txt").string()};
    recipe_.train.init = base_.string();
    recipe_.train.steps = 30;
  }
  void TearDown() override { fs::remove_all(folder_); }

  void use_adapters() {
    recipe_.train.lora = {.rank = 4, .alpha = 8, .targets = {"all"}};
    recipe_.train.optimizer.lr = 2e-2;
  }

  std::unique_ptr<NextTokenTask> task() const {
    return std::make_unique<NextTokenTask>(recipe_, data::prepare(recipe_.data));
  }

  TrainResult train_into(const std::string& name, int64_t stop_at = 0, bool resume = false) const {
    const auto owned = task();
    TrainListener listener;
    listener.on_step = [&](const StepReport& report) {
      if (report.step == stop_at) raise(SIGTERM);
    };
    install_stop_signals();
    reset_stop_request();
    const TrainResult result =
        train(*owned, recipe_.train, folder_ / name, resume, io::Json::object(), listener);
    reset_stop_request();
    return result;
  }

  static std::string bytes(const fs::path& file) { return io::read_file(file, 1 << 26); }

  double held_out(NextTokenTask& task) const {
    nn::Context context;
    return task.evaluate(0, context).at("loss");
  }

  fs::path folder_, base_;
  Recipe recipe_;
};

TEST_F(LoraTest, BothWaysOfFineTuningLowerTheLossOfANewText) {
  recipe_.train.steps = 60;
  const double before = held_out(*task());
  const double tuned = train_into("full").evaluation.at("loss");
  use_adapters();
  EXPECT_EQ(held_out(*task()), before);  // adapters start as nothing
  const double adapted = train_into("lora").evaluation.at("loss");
  EXPECT_LT(tuned, before - 0.5);
  EXPECT_LT(adapted, before - 0.5);
}

TEST_F(LoraTest, TheModelItselfStaysAsItIsBitForBit) {
  use_adapters();
  const auto owned = task();
  std::vector<at::Tensor> before;
  for (const at::Tensor& tensor : owned->model().parameters().tensors())
    before.push_back(tensor.clone());
  train(*owned, recipe_.train, folder_ / "lora", false, io::Json::object(), {});
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(at::equal(before[i], owned->model().parameters().tensors()[i]));
  // What is saved as the model is the sum.
  const auto saved = model::ModelDirectory::open(folder_ / "lora/checkpoints/step-00000030");
  const nn::MergedWeights merged(owned->model().parameters());
  int changed = 0;
  for (const auto& [name, tensor] : merged.weights()) {
    const auto& stored = saved.weights().at(name);
    const auto size = static_cast<size_t>(model::element_count(tensor.shape)) * sizeof(float);
    EXPECT_EQ(std::memcmp(stored.data, tensor.data, size), 0) << name;
    changed += tensor.data != owned->model().parameters().at(name).data_ptr();
  }
  EXPECT_EQ(changed, 4);  // two projections of two layers
}

TEST_F(LoraTest, TheSavedModelHasTheLossThatWasReported) {
  use_adapters();
  const TrainResult result = train_into("lora");
  recipe_.train.init = result.checkpoint.string();
  recipe_.train.lora = {};
  EXPECT_NEAR(held_out(*task()), result.evaluation.at("loss"), 1e-5);
}

TEST_F(LoraTest, ResumesByteForByte) {
  use_adapters();
  const TrainResult straight = train_into("straight");
  ASSERT_TRUE(train_into("halves", 13).interrupted);
  const TrainResult resumed = train_into("halves", 0, true);
  EXPECT_EQ(resumed.step, 30);
  for (const char* file : {"model.safetensors", "adapter/adapter_model.safetensors",
                           "adapter/adapter_config.json", "optimizer.safetensors", "trainer.json"})
    EXPECT_EQ(bytes(straight.checkpoint / file), bytes(resumed.checkpoint / file)) << file;
}

TEST_F(LoraTest, AnotherBaseOrOtherAdaptersAreNotContinued) {
  use_adapters();
  const fs::path checkpoint = train_into("lora", 5).checkpoint;
  recipe_.train.lora.alpha = 9;
  EXPECT_THROW(train_into("lora", 0, true), Error);
  use_adapters();
  recipe_.train.init = checkpoint.string();
  try {
    train_into("lora", 0, true);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("another base"), std::string::npos) << error.what();
  }
}

TEST_F(LoraTest, ARunWithAdaptersIsNotContinuedWithoutThemNorTheOtherWay) {
  const auto refused = [&](const std::string& name) {
    try {
      train_into(name, 0, true);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("went on");
  };
  train_into("full", 5);
  use_adapters();
  EXPECT_NE(refused("full").find("train.lora.rank"), std::string::npos);
  train_into("lora", 5);
  recipe_.train.lora = {};
  EXPECT_NE(refused("lora").find("train.lora.rank"), std::string::npos);
}

TEST_F(LoraTest, WhatTheLossIsMadeOfStaysInAResumedRun) {
  train_into("full", 5);
  const TrainOptions kept = recipe_.train;
  const auto refused = [&] {
    EXPECT_THROW(train_into("full", 0, true), Error);
    recipe_.train = kept;
  };
  recipe_.train.compute = "bf16";
  refused();
  recipe_.train.z_loss = 1e-4;
  refused();
  recipe_.train.label_smoothing = 0.1;
  refused();
  EXPECT_EQ(train_into("full", 0, true).step, 30);
}

TEST_F(LoraTest, AFullFineTuningIsResumedWithoutTheModelItBeganWith) {
  const fs::path start = folder_ / "start";
  fs::copy(base_, start);
  io::write_file_atomic(start / "tokenizer_config.json", std::string("{\"a\": 1}\n"));
  recipe_.train.init = start.string();
  const TrainResult straight = train_into("straight");
  train_into("halves", 13);
  fs::remove_all(start);
  recipe_.train.init = Checkpoints::newest_whole(folder_ / "halves").value().string();
  const TrainResult resumed = train_into("halves", 0, true);
  EXPECT_EQ(resumed.step, 30);
  for (const char* file : {"model.safetensors", "config.json", "generation_config.json",
                           "tokenizer.json", "tokenizer_config.json", "trainer.json"})
    EXPECT_EQ(bytes(straight.checkpoint / file), bytes(resumed.checkpoint / file)) << file;
}

TEST_F(LoraTest, ADamagedAdapterMakesADamagedCheckpoint) {
  use_adapters();
  const fs::path file = train_into("lora", 5).checkpoint / "adapter/adapter_config.json";
  std::string content = bytes(file);
  content[3] ^= 1;
  io::write_file_atomic(file, content);
  EXPECT_THROW(train_into("lora", 0, true), Error);
}

TEST_F(LoraTest, AdaptersNeedAModel) {
  use_adapters();
  recipe_.train.init.clear();
  EXPECT_THROW(recipe_.check(), Error);
}

TEST_F(LoraTest, WhatStandsBesideTheModelGoesAlong) {
  const fs::path start = folder_ / "start";
  fs::copy(base_, start);
  io::write_file_atomic(start / "tokenizer_config.json", std::string("{\"a\": 1}\n"));
  io::write_file_atomic(start / "chat_template.json", std::string("{\"chat_template\": \"x\"}\n"));
  io::write_file_atomic(start / "tokenizer.model", std::string("not looked at"));
  io::Json tokens = io::read_json_file(start / "generation_config.json");
  tokens["bos_token_id"] = 7;
  tokens["pad_token_id"] = 9;
  tokens["eos_token_id"] = io::Json::array({3, 4});
  io::write_json_file(start / "generation_config.json", tokens);
  recipe_.train.init = start.string();
  recipe_.train.steps = 2;
  const auto result = train_into("tuned").checkpoint;
  EXPECT_EQ(bytes(result / "tokenizer_config.json"), bytes(start / "tokenizer_config.json"));
  EXPECT_EQ(bytes(result / "chat_template.json"), bytes(start / "chat_template.json"));
  EXPECT_EQ(bytes(result / "tokenizer.model"), bytes(start / "tokenizer.model"));
  EXPECT_EQ(bytes(result / "tokenizer.json"), bytes(start / "tokenizer.json"));
  const auto special = model::ModelDirectory::open(result).special_tokens();
  EXPECT_EQ(special.bos, 7);
  EXPECT_EQ(special.pad, 9);
  EXPECT_EQ(special.eos, std::vector<int32_t>({3, 4}));

  // With a tokenizer of its own, the run takes none of that.
  recipe_.data.tokenizer = "char";
  const auto other = train_into("other").checkpoint;
  EXPECT_FALSE(fs::exists(other / "tokenizer_config.json"));
  EXPECT_FALSE(fs::exists(other / "chat_template.json"));
  EXPECT_EQ(model::ModelDirectory::open(other).special_tokens().bos, std::nullopt);
}

}  // namespace
}  // namespace adder::train
