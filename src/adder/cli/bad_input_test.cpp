// Bad input to every verb: an error that says what, where and why or what next; never a crash.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "adder/cli/program.h"
#include "adder/cli/test_program.h"
#include "adder/io/file.h"
#include "adder/model/directory.h"

namespace adder::cli {
namespace {

/// It failed as it should: the exit code, the form of the error, the file named.
void expect_error(const Finished& done, int code, const std::string& named) {
  EXPECT_EQ(done.signal, 0) << done.err;
  EXPECT_EQ(done.code, code) << done.err;
  EXPECT_TRUE(done.err.find("error: ") != std::string::npos) << done.err;
  EXPECT_TRUE(done.err.find(named) != std::string::npos) << done.err;
  EXPECT_TRUE(done.err.find("internal") == std::string::npos) << done.err;
  EXPECT_TRUE(done.err.find("\n  next: ") != std::string::npos) << done.err;
}

class BadInput : public testing::Test {
 protected:
  void SetUp() override { make_model(folder_ / "model"); }

  /// A copy of the model with one file replaced.
  std::string broken(const std::string& file, const std::string& content) {
    const std::string copy = folder_ / ("broken" + std::to_string(count_++));
    std::filesystem::copy(folder_ / "model", copy);
    io::write_file_atomic(copy + "/" + file, content);
    return copy;
  }

  TestFolder folder_;
  int count_ = 0;
};

TEST_F(BadInput, TextFiles) {
  const std::string bad[] = {folder_ / "missing", folder_ / "model", folder_.put("empty", ""),
                             folder_.put("binary", std::string("ab\0cd\xff", 6)),
                             folder_.put("latin", "caf\xe9")};
  const std::string tokenizer = folder_ / "model/tokenizer.json";
  for (const auto& text : bad) {
    SCOPED_TRACE(text);
    const std::string out = folder_ / "out";
    expect_error(
        run_adder({"data", "encode", "--tokenizer", tokenizer, "--text", text, "--out", out}), 1,
        text);
    expect_error(run_adder({"data", "shard", "--text", text, "--out", out}), 1, text);
    expect_error(run_adder({"data", "tokenizer", "--text", text, "--out", out}), 1, text);
    expect_error(run_adder({"eval", "perplexity", folder_ / "model", "--text", text}), 1, text);
    EXPECT_FALSE(std::filesystem::exists(out));
  }
}

TEST_F(BadInput, AMixerThatNoDeviceTrainsIsNamedBeforeTheTextIsRead) {
  const auto recipe = folder_.put(
      "r.toml", "[data]\ntext = [\"missing.txt\"]\n[model]\nlayers = [\"mamba2\", \"mamba1\"]\n");
  const auto done = run_adder({"train", recipe, "--run", folder_ / "run", "--device", "cuda"});
  if (done.err.find("stands on LibTorch") != std::string::npos) GTEST_SKIP() << done.err;
  expect_error(done, 1, "the mixer mamba1 is not trained on a device yet");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(BadInput, Ids) {
  const std::string bad[] = {folder_ / "missing", folder_ / "model", folder_.put("empty.npy", ""),
                             folder_.put("text.npy", "no array"),
                             folder_.put("short.npy", "\x93NUMPY\x01")};
  for (const auto& ids : bad) {
    SCOPED_TRACE(ids);
    expect_error(run_adder({"generate", folder_ / "model", "--ids", ids}), 1, ids);
    expect_error(run_adder({"eval", "perplexity", folder_ / "model", "--ids", ids}), 1, ids);
  }
  write_ids(folder_ / "outside.npy", {1, 2, 257});
  for (const auto& done :
       {run_adder({"generate", folder_ / "model", "--ids", folder_ / "outside.npy"}),
        run_adder({"eval", "perplexity", folder_ / "model", "--ids", folder_ / "outside.npy"})}) {
    expect_error(done, 1, "outside.npy, element 2");
    EXPECT_EQ(done.out, "");
  }
}

TEST_F(BadInput, TokenizersThatCannotBeUsed) {
  const std::string foreign = R"({"model": {"type": "Unigram", "vocab": [["a", -1], ["b", -2]]}})";
  std::string characters = "abc";
  for (char32_t c = 0x4e00; c < 0x4f00; ++c) {
    characters +=
        {'\xe4', static_cast<char>(0xb8 + (c >> 6 & 3)), static_cast<char>(0x80 + (c & 63))};
  }
  const auto text = folder_.put("characters", characters);
  run_adder({"data", "tokenizer", "--text", text, "--out", folder_ / "large.json"});
  const std::string large = io::read_file(folder_ / "large.json", 1 << 20);
  write_ids(folder_ / "ids.npy", {1, 2, 3});
  for (const auto& [tokenizer, reason] : {std::pair(foreign, "its model is Unigram"),
                                          std::pair(large, "does not belong to the model")}) {
    const auto model = broken("tokenizer.json", tokenizer);
    const auto made = run_adder({"generate", model, "--ids", folder_ / "ids.npy",
                                 "--max-new-tokens", "2", "--ignore-eos", "--json"});
    ASSERT_EQ(made.code, 0) << made.err;
    EXPECT_EQ(made.json().at("ids").size(), 5u);
    EXPECT_EQ(made.json().at("text"), "");
    EXPECT_NE(made.err.find("warning: "), std::string::npos) << made.err;
    EXPECT_EQ(run_adder({"eval", "perplexity", model, "--ids", folder_ / "ids.npy", "--json"}).code,
              0);
    expect_error(run_adder({"generate", model, "--prompt", "a"}), 1, reason);
    expect_error(run_adder({"chat", model}, "a\n"), 1, reason);
  }
}

TEST_F(BadInput, Models) {
  const std::string bad[] = {folder_ / "missing",
                             folder_.put("file", "x"),
                             std::filesystem::path(folder_.put("nothing/here", "")).parent_path(),
                             broken("config.json", ""),
                             broken("config.json", "{\"model_type\": \"mamba2\""),
                             broken("config.json", "{}"),
                             broken("config.json", "{\"model_type\": \"gpt2\"}"),
                             broken("model.safetensors", ""),
                             broken("model.safetensors", std::string(64, '\xff')),
                             broken("tokenizer.json", "[1, 2]"),
                             broken("tokenizer.json", std::string("\0\0", 2))};
  for (const auto& model : bad) {
    SCOPED_TRACE(model);
    for (const auto& done :
         {run_adder({"generate", model, "--prompt", "a"}), run_adder({"chat", model}, "a\n"),
          run_adder({"eval", "perplexity", model, "--text", __FILE__})}) {
      expect_error(done, done.code == 2 ? 2 : 1, model);  // 2: a config that is wrong
      EXPECT_EQ(done.out, "");
    }
  }
  expect_error(run_adder({"convert", folder_ / "missing", folder_ / "to"}), 1, "missing");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "to"));
}

TEST_F(BadInput, Recipes) {
  const auto recipe = [&](const std::string& text) { return folder_.put("r.toml", text); };
  const auto plan = [&](const std::string& text) { return run_adder({"plan", recipe(text)}); };
  expect_error(run_adder({"plan", folder_ / "missing.toml"}), 1, "missing.toml");
  expect_error(run_adder({"plan", folder_ / "model"}), 1, "model");
  expect_error(plan("[train]\n\nstepz = 3\n"), 2, "r.toml:3");
  EXPECT_NE(plan("[train]\nstepz = 3\n").err.find("did you mean \"train.steps\"?"),
            std::string::npos);
  expect_error(plan("[train]\nsteps = \"many\"\n"), 2, "r.toml:2");
  expect_error(plan("[train\n"), 2, "r.toml:1");
  expect_error(plan(std::string("\0\x01\xff", 3)), 2, "r.toml");
  expect_error(plan("[data]\ntext = [\"${ADDER_NO_SUCH_THING}/x\"]\n"), 2, "data.text");
  expect_error(run_adder({"plan", recipe(""), "--train.lrr", "1"}), 2, "--train.lr");
  expect_error(run_adder({"plan", recipe("[model]\nvocab_size = 5\nd_model = -1\n")}), 2,
               "d_model");
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, std::string>>{{"batch_size", "0"},
                                                        {"length", "-1"},
                                                        {"accumulation", "0"},
                                                        {"lr", "nan"},
                                                        {"lr", "-1"},
                                                        {"beta2", "1"},
                                                        {"final_lr", "2"},
                                                        {"warmup_steps", "-1"},
                                                        {"keep_last", "0"},
                                                        {"label_smoothing", "1"},
                                                        {"clip", "-1"},
                                                        {"steps", "0"}}) {
    expect_error(run_adder({"plan", recipe("[model]\nvocab_size = 5\n"), "--train." + key, value}),
                 2, "train." + key);
  }
  expect_error(run_adder({"plan", recipe("[model]\nvocab_size = 5\n"), "--train.batch_size",
                          "1000000", "--train.length", "1000000"}),
               2, "train.batch_size");
}

TEST_F(BadInput, SamplerValues) {
  for (const auto& [flag, value] :
       std::vector<std::pair<std::string, std::string>>{{"--temperature", "-1"},
                                                        {"--temperature", "nan"},
                                                        {"--temperature", "1e-308"},
                                                        {"--top-p", "2"},
                                                        {"--min-p", "-1"},
                                                        {"--top-k", "-5"},
                                                        {"--repetition-penalty", "0"},
                                                        {"--max-new-tokens", "-1"},
                                                        {"--samples", "0"},
                                                        {"--threads", "-2"}}) {
    SCOPED_TRACE(flag + " " + value);
    const auto done = run_adder({"generate", folder_ / "model", "--prompt", "a", flag, value});
    EXPECT_EQ(done.code, 2) << done.err;
    EXPECT_EQ(done.out, "");
  }
}

TEST_F(BadInput, DamagedWeights) {
  const auto whole = model::ModelDirectory::open(folder_ / "model");
  model::Weights weights = whole.weights();
  auto& embedding = weights.at("backbone.embeddings.weight");
  std::vector<float> values(static_cast<std::size_t>(model::element_count(embedding.shape)), NAN);
  embedding.data = values.data();
  model::save_model(folder_ / "damaged", whole.config(), weights);
  write_ids(folder_ / "ids.npy", {1, 2, 3});
  for (const auto& done :
       {run_adder({"generate", folder_ / "damaged", "--ids", folder_ / "ids.npy"}),
        run_adder({"eval", "perplexity", folder_ / "damaged", "--ids", folder_ / "ids.npy"})}) {
    expect_error(done, 1, "earlier checkpoint");
    EXPECT_EQ(done.out.find("nan"), std::string::npos) << done.out;
  }
}

TEST_F(BadInput, RunsAndShards) {
  const std::string empty = std::filesystem::path(folder_.put("nothing/here", "")).parent_path();
  for (const std::string& path : {folder_ / "missing", empty, folder_.put("file", "x")}) {
    SCOPED_TRACE(path);
    expect_error(run_adder({"report", path}), 1, path);
    expect_error(run_adder({"data", "inspect", path}), 1, path);
  }
}

TEST_F(BadInput, InspectShowsWhatThereIs) {
  const std::string text = folder_.put("t.txt", "abcdefghij");
  const std::string shards = folder_ / "shards";
  ASSERT_EQ(run_adder({"data", "shard", "--text", text, "--out", shards}).code, 0);
  const auto inspect = [&](const std::string& rows, const std::string& length) {
    return run_adder({"data", "inspect", shards, "--rows", rows, "--length", length});
  };
  for (const char* rows : {"0", "-1", "1001", "4000000000000"}) {
    expect_error(inspect(rows, "3"), 2, "1 to 1000");
  }
  expect_error(inspect("4", "0"), 2, "--length must be 1 to");
  expect_error(inspect("4", "5000000000"), 2, "--length must be 1 to");
  // 10 tokens give 3 windows of 3 + 1, or 2 behind a phase.
  const auto done = inspect("1000", "3");
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_LE(std::ranges::count(done.out, '\n'), 4) << done.out;
}

// Where the result cannot go is said before anything is read: the text is not even there.
TEST_F(BadInput, ResultsAreLookedAtFirst) {
  const std::string missing = folder_ / "missing";
  const std::string tokenizer = folder_ / "model/tokenizer.json";
  for (const std::string& out : {folder_ / "model", folder_ / "no/such/file"}) {
    SCOPED_TRACE(out);
    const std::string named = out.substr(0, out.rfind('/'));
    expect_error(
        run_adder({"data", "encode", "--tokenizer", tokenizer, "--text", missing, "--out", out}), 1,
        named);
    expect_error(run_adder({"data", "tokenizer", "--text", missing, "--out", out}), 1, named);
  }
  for (const auto& done :
       {run_adder({"data", "shard", "--text", missing, "--out", folder_ / "model"}),
        run_adder({"convert", missing, folder_ / "model"})}) {
    expect_error(done, 1, folder_ / "model");
    EXPECT_NE(done.err.find("give another name or remove it"), std::string::npos) << done.err;
  }
}

TEST_F(BadInput, AFileTruncatedInUse) {
  const std::string file = folder_.put("mapped", std::string(1 << 16, 'x'));
  const auto read_what_is_gone = [&] {
    const char* const words[] = {"adder", "--version"};
    run_program(2, words);  // as the program does it
    const io::MappedFile map(file);
    std::filesystem::resize_file(file, 0);
    const volatile std::byte* lost = map.bytes().data() + (1 << 15);
    _exit(static_cast<int>(*lost));
  };
  EXPECT_EXIT(read_what_is_gone(), testing::ExitedWithCode(1),
              "error: a file was truncated while it was in use");
}

TEST_F(BadInput, UnwritableResults) {
  const std::string out = folder_ / "no/such/folder/file";
  expect_error(run_adder({"data", "generate", "--out", out, "--bytes", "10"}), 1, "no/such/folder");
  expect_error(run_adder({"data", "tokenizer", "--kind", "byte", "--out", out}), 1,
               "no/such/folder");
}

}  // namespace
}  // namespace adder::cli
