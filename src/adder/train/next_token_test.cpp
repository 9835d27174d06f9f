// Language-model training on real text: resume to the byte, and the two readings of a model (nn and
// infer) against each other.
#include "adder/train/next_token.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "adder/base/error.h"
#include "adder/data/generate/offline.h"
#include "adder/infer/model.h"
#include "adder/infer/score.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"
#include "adder/model/mamba2_spec.h"
#include "adder/ops/view.h"
#include "adder/train/stop_signals.h"
#include "adder/train/trainer.h"

namespace adder::train {
namespace {

namespace fs = std::filesystem;

class NextTokenTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("adder-next-token-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    io::make_directories(folder_);
    std::string text;
    data::generate_stories(1, 40000, [&](std::string_view story) { text += story; });
    io::write_file_atomic(folder_ / "stories.txt", text);
    recipe_.data.text = {(folder_ / "stories.txt").string()};
    recipe_.data.separator = "\\n\\n";
    recipe_.data.cache = (folder_ / "cache").string();
    recipe_.model.d_model = 32;
    recipe_.model.n_layer = 2;
    mamba2().d_state = 16;
    mamba2().head_dim = 16;
    recipe_.train.batch_size = 2;
    recipe_.train.length = 48;
    recipe_.train.steps = 60;
    recipe_.train.schedule.warmup_steps = 5;
    recipe_.train.optimizer.lr = 5e-3;
    recipe_.train.sample_tokens = 20;
    recipe_.train.eval_windows = 2;
  }
  void TearDown() override { fs::remove_all(folder_); }

  model::Mamba2Spec& mamba2() {
    return static_cast<model::Mamba2Spec&>(recipe_.model.mixers.at("mamba2"));
  }

  std::unique_ptr<NextTokenTask> task() const {
    return std::make_unique<NextTokenTask>(recipe_, data::prepare(recipe_.data));
  }

  TrainResult run(const std::string& name, int64_t stop_at = 0, bool resume = false) const {
    const auto owned = task();
    TrainListener listener;
    TrainOptions options = recipe_.train;
    // Stopping is what a signal does: the schedule still knows all the steps.
    listener.on_step = [&](const StepReport& report) {
      if (report.step == stop_at) raise(SIGTERM);
    };
    install_stop_signals();
    reset_stop_request();
    const TrainResult result =
        train(*owned, options, folder_ / name, resume, io::Json::object(), listener);
    reset_stop_request();
    return result;
  }

  static std::string bytes(const TrainResult& result, const char* file) {
    return io::read_file(result.checkpoint / file, 1 << 26);
  }

  std::string beginning(size_t bytes) const {
    return io::read_file(folder_ / "stories.txt", 1 << 20).substr(0, bytes);
  }

  fs::path folder_;
  Recipe recipe_;
};

TEST_F(NextTokenTest, ABadSamplePromptIsFoundAtTheStart) {
  recipe_.data.tokenizer = "char";
  recipe_.train.sample_prompt = "\U0001f40d";
  try {
    task();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_NE(std::string(error.what()).find("train.sample_prompt"), std::string::npos);
  }
}

TEST_F(NextTokenTest, WhatNoDeviceTrainsIsRefusedBeforeOneIsLookedFor) {
  recipe_.train.device = "cuda";
  recipe_.model.d_model = 64;
  recipe_.model.layers = {"softmax"};
  try {
    task();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_NE(std::string(error.what()).find("several documents in a row"), std::string::npos);
  }
}

TEST_F(NextTokenTest, ThirtyStepsAndResumeEqualSixtyByteForByteAtOneAndTwoThreads) {
  std::string at_one_thread;
  for (const int64_t threads : {1, 2}) {
    recipe_.train.threads = threads;
    const std::string suffix = std::to_string(threads);
    const TrainResult straight = run("straight" + suffix);
    ASSERT_TRUE(run("halves" + suffix, 30).interrupted);
    const TrainResult resumed = run("halves" + suffix, 0, true);
    EXPECT_EQ(resumed.step, 60);
    for (const char* file : {"model.safetensors", "optimizer.safetensors", "trainer.json"}) {
      EXPECT_EQ(bytes(straight, file), bytes(resumed, file))
          << file << " at " << threads << " threads";
    }
    if (threads == 1)
      at_one_thread = bytes(straight, "model.safetensors");
    else
      EXPECT_EQ(bytes(straight, "model.safetensors"), at_one_thread)
          << "the number of threads changed the result";
  }
}

TEST_F(NextTokenTest, Bfloat16AndRecomputationAlsoResumeByteForByte) {
  recipe_.train.compute = "bf16";
  recipe_.train.checkpoint_activations = true;
  recipe_.train.accumulation = 2;
  recipe_.train.steps = 12;
  const TrainResult straight = run("straight");
  ASSERT_TRUE(run("halves", 5).interrupted);
  EXPECT_EQ(bytes(straight, "model.safetensors"),
            bytes(run("halves", 0, true), "model.safetensors"));
}

TEST_F(NextTokenTest, TheLossFallsAndTheReportedOneIsTrue) {
  const TrainResult result = run("a");
  EXPECT_LT(result.evaluation.at("loss"), 2.7);  // from log(vocabulary) = 4 or so
  // The same windows through infer, one after another.
  const auto stored = model::ModelDirectory::open(result.checkpoint);
  infer::Model reader(stored.config(), stored.weights(), ops::torch_pool());
  const auto prepared = data::prepare(recipe_.data);
  data::TokenLoader loader(*prepared.shards, prepared.split.validation,
                           {1, 48, 1, data::PackMode::kDocs});
  double sum = 0, count = 0;
  for (int64_t w = 0; w < loader.eval_windows(); ++w) {
    const data::Batch batch = loader.eval_batch(w, 1);
    const auto tokens = batch.at("tokens").as<int32_t>();
    const auto targets = batch.at("targets").as<int64_t>();
    std::vector<int32_t> ids(tokens.begin(), tokens.end());
    const auto real = static_cast<size_t>(
        std::count_if(targets.begin(), targets.end(), [](int64_t t) { return t >= 0; }));
    ids.resize(real);
    ids.push_back(static_cast<int32_t>(targets[real - 1]));
    for (const double loss : infer::token_losses(reader, ids, {})) sum += loss, count += 1;
  }
  recipe_.data.mode = "docs";
  const auto owned = task();
  owned->load(result.checkpoint.string());
  nn::Context context;
  const auto metrics = owned->evaluate(0, context);
  EXPECT_EQ(metrics.at("tokens"), count);
  EXPECT_NEAR(metrics.at("loss"), sum / count, 1e-5);
}

TEST_F(NextTokenTest, BitsPerCharacterAreOfTheCharactersOfTheTargets) {
  recipe_.data.mode = "docs";
  const auto owned = task();
  nn::Context context;
  const auto metrics = owned->evaluate(0, context);
  const auto prepared = data::prepare(recipe_.data);
  const auto ids = prepared.shards->copy(prepared.split.validation.at(0).ranges.at(0));
  const int32_t eos = prepared.tokenizer->eos_id().value();
  double characters = 0;  // the first of a document is no target, its end is no character
  for (size_t i = 1; i < ids.size(); ++i) characters += ids[i - 1] != eos && ids[i] != eos;
  EXPECT_NEAR(metrics.at("bits_per_character"),
              metrics.at("loss") * metrics.at("tokens") / std::log(2.0) / characters, 1e-9);
}

TEST_F(NextTokenTest, ACheckpointWithoutTheNewerModelOptionsIsResumed) {
  recipe_.train.steps = 6;
  const TrainResult half = run("a", 3);
  ASSERT_TRUE(half.interrupted);
  const fs::path file = half.checkpoint / "trainer.json", list = half.checkpoint / "manifest.json";
  io::Json trainer = io::read_json_file(file), manifest = io::read_json_file(list);
  io::Json& stored = trainer.at("task").at("model");
  const io::Json all = stored;
  for (const auto& item : all.items()) {
    const std::string& key = item.key();
    if (key == "norm" || key == "residual" || key == "head_bias" || key.starts_with("word_ssm.")) {
      stored.erase(key);
    }
  }
  ASSERT_LT(stored.size(), all.size() - 3);
  io::write_json_file(file, trainer);
  manifest.at("files").at("trainer.json") = {{"bytes", fs::file_size(file)},
                                             {"xxh128", io::hash128_file_hex(file)}};
  io::write_json_file(list, manifest);
  recipe_.model.head_bias = true;
  try {
    run("a", 0, true);
    ADD_FAILURE() << "went on with another model";
  } catch (const Error& error) {
    EXPECT_NE(error.text().what.find("model.head_bias"), std::string::npos) << error.what();
  }
  recipe_.model.head_bias = false;
  EXPECT_EQ(run("a", 0, true).step, 6);
}

TEST_F(NextTokenTest, ConstantsAreNotCountedAsTrained) {
  const auto entries = flatten(recipe_.model);
  set_from_text(find_option(entries, "layers"), "word_ssm");
  set_from_text(find_option(entries, "word_ssm.form"), "B");
  set_from_text(find_option(entries, "word_ssm.d_state"), "6");
  const auto owned = task();
  int64_t trained = 0;
  for (const at::Tensor& tensor : owned->parameters().tensors()) {
    if (tensor.requires_grad()) trained += tensor.numel();
  }
  EXPECT_EQ(owned->trained_count(), trained);
  EXPECT_LT(trained, model::parameter_count(owned->model().config()));
}

TEST_F(NextTokenTest, ShardsThatHoldTextOutAreNotMemorised) {
  recipe_.data.val_documents = 0.3;
  data::write_shards(recipe_.data, folder_ / "shards");
  recipe_.data.val_documents = 0;
  recipe_.data.text = {(folder_ / "shards").string()};
  recipe_.train.overfit = true;
  recipe_.settle();
  recipe_.check();
  try {
    run("a");
    ADD_FAILURE() << "trained";
  } catch (const Error& error) {
    EXPECT_EQ(error.text().where, "train.overfit = true");
  }
}

TEST_F(NextTokenTest, EpochsAreOfTheTextReadLeast) {
  recipe_.data.val_fraction = 0;
  recipe_.data.text.push_back((folder_ / "short.txt").string());
  io::write_file_atomic(folder_ / "short.txt", beginning(1200));
  recipe_.data.weights = {1, 1};
  recipe_.train.batch_size = 64;
  const auto owned = task();
  const double all = static_cast<double>(owned->cursor().at("portions")[0].at("windows"));
  EXPECT_EQ(owned->epochs(), 0);
  owned->next();
  const io::Json portions = owned->cursor().at("portions");
  EXPECT_GT(portions[1].at("epoch").get<int64_t>(), 0);  // the short one was read more than once
  EXPECT_EQ(owned->epochs(), portions[0].at("index").get<double>() / all);
}

TEST_F(NextTokenTest, OverfittingEndsWhenTheTextIsMemorised) {
  io::write_file_atomic(folder_ / "short.txt", beginning(400));
  recipe_.data.text = {(folder_ / "short.txt").string()};
  recipe_.train.overfit = true;
  recipe_.train.steps = 3000;
  recipe_.train.length = 20;
  recipe_.train.batch_size = 8;
  recipe_.settle();
  recipe_.check();
  const TrainResult result = run("a");
  EXPECT_LT(result.step, 3000);
  EXPECT_LE(result.train_loss, 0.5);
  EXPECT_TRUE(result.evaluation.empty());  // nothing is held out
  EXPECT_EQ(result.stopped.find("memorised: the training loss"), 0u) << result.stopped;
}

TEST_F(NextTokenTest, InferEqualsNnForEveryOptionSet) {
  const std::vector<std::vector<std::string>> option_sets = {
      {},
      {"mamba2.d_ssm=32", "mamba2.bias=true"},
      {"mamba2.n_groups=2", "mamba2.head_dim=8", "mamba2.gated_norm=before"},
      {"mamba2.n_groups=2", "mamba2.head_dim=8", "mamba2.norm_group=full",
       "mamba2.D_has_head_dim=true"},
      {"mamba2.gated_norm=none", "mamba2.conv_bias=false", "mamba2.d_conv=2"},
      {"mamba2.dt_limit_min=0.01", "mamba2.dt_limit_max=0.05", "tie_embeddings=false"},
      {"layers=mamba1", "mamba1.norm_BCdt=true", "mlp.kind=gelu", "mlp.bias=true"},
      {"layers=mamba1,mamba2", "mlp.kind=swiglu", "mamba1.bias=true"},
      {"layers=softmax", "softmax.head_dim=8", "softmax.n_kv_heads=2", "softmax.qkv_bias=true"},
      {"layers=mamba2,softmax", "softmax.head_dim=8", "softmax.window=20", "softmax.d_conv=4",
       "softmax.d_mlp=12", "softmax.rotary_interleaved=true", "softmax.out_bias=true"},
      {"layers=word_ssm", "norm=none", "residual=false", "head_bias=true", "embedding_std=1",
       "tie_embeddings=false", "word_ssm.d_state=24"},
      {"layers=word_ssm", "word_ssm.decay=real", "word_ssm.memory=20"},
      {"layers=word_ssm", "word_ssm.form=B", "word_ssm.d_state=6", "word_ssm.hippo=inv"},
      {"layers=word_ssm", "word_ssm.form=C", "word_ssm.d_state=10", "word_ssm.dt_max=1"},
      {"layers=word_ssm", "word_ssm.form=D", "word_ssm.d_state=7"},
      {"layers=word_ssm", "word_ssm.form=E", "word_ssm.d_state=7"},
  };
  const model::ModelConfig plain = recipe_.model;
  for (size_t i = 0; i < option_sets.size(); ++i) {
    recipe_.model = plain;
    const auto entries = flatten(recipe_.model);
    for (const std::string& option : option_sets[i]) {
      const size_t split = option.find('=');
      set_from_text(find_option(entries, option.substr(0, split)), option.substr(split + 1));
    }
    const auto owned = task();
    const nn::LanguageModel& model = owned->model();
    std::vector<int32_t> ids(130);
    for (size_t t = 0; t < ids.size(); ++t) ids[t] = static_cast<int32_t>(t * t * 7 % 30);
    infer::Model reader(model.config(), model.parameters().weights(), ops::torch_pool());
    const std::vector<double> ours = infer::token_losses(reader, ids, {});
    const c10::NoGradGuard no_grad;
    const at::Tensor in = at::from_blob(ids.data(), {1, 130}, at::kInt);
    nn::Context context;
    const at::Tensor logits =
        model.logits(model.forward(in.narrow(1, 0, 129), context)).squeeze(0).to(at::kDouble);
    const at::Tensor losses =
        at::cross_entropy_loss(logits, in[0].narrow(0, 1, 129).to(at::kLong), {}, 0);
    ASSERT_EQ(ours.size(), 129u);
    for (int64_t t = 0; t < 129; ++t) {
      ASSERT_NEAR(losses[t].item<double>(), ours[static_cast<size_t>(t)], 1e-4)
          << "set " << i << ", token " << t;
    }
  }
}

TEST_F(NextTokenTest, FineTuningStartsFromTheGivenWeights) {
  recipe_.train.steps = 10;
  const TrainResult first = run("a");
  recipe_.train.init = first.checkpoint.string();
  recipe_.data.tokenizer = first.checkpoint.string();
  const auto owned = task();
  nn::Context context;
  EXPECT_NEAR(owned->evaluate(0, context).at("loss"), first.evaluation.at("loss"), 1e-6);
}

TEST_F(NextTokenTest, SamplesAreTextAndAFunctionOfTheSeed) {
  const auto owned = task();
  EXPECT_EQ(owned->sample(3), owned->sample(3));
  EXPECT_NE(owned->sample(3), owned->sample(4));
}

TEST_F(NextTokenTest, AVocabularyThatIsTooSmallIsAnError) {
  recipe_.model.vocab_size = 5;
  EXPECT_THROW(task(), Error);
}

}  // namespace
}  // namespace adder::train
