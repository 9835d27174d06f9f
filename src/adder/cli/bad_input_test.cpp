// Bad input to every verb: an error that says what, where and why or what next; never a crash.
#include <gtest/gtest.h>

#include "adder/cli/test_program.h"
#include "adder/io/file.h"

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

TEST_F(BadInput, Ids) {
  const std::string bad[] = {folder_ / "missing", folder_ / "model", folder_.put("empty.npy", ""),
                             folder_.put("text.npy", "no array"),
                             folder_.put("short.npy", "\x93NUMPY\x01")};
  for (const auto& ids : bad) {
    SCOPED_TRACE(ids);
    expect_error(run_adder({"generate", folder_ / "model", "--ids", ids}), 1, ids);
    expect_error(run_adder({"eval", "perplexity", folder_ / "model", "--ids", ids}), 1, ids);
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
}

TEST_F(BadInput, SamplerValues) {
  for (const auto& [flag, value] :
       std::vector<std::pair<std::string, std::string>>{{"--temperature", "-1"},
                                                        {"--temperature", "nan"},
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

TEST_F(BadInput, RunsAndShards) {
  const std::string empty = std::filesystem::path(folder_.put("nothing/here", "")).parent_path();
  for (const std::string& path : {folder_ / "missing", empty, folder_.put("file", "x")}) {
    SCOPED_TRACE(path);
    expect_error(run_adder({"report", path}), 1, path);
    expect_error(run_adder({"data", "inspect", path}), 1, path);
  }
}

TEST_F(BadInput, UnwritableResults) {
  const std::string out = folder_ / "no/such/folder/file";
  expect_error(run_adder({"data", "generate", "--out", out, "--bytes", "10"}), 1, "no/such/folder");
  expect_error(run_adder({"data", "tokenizer", "--kind", "byte", "--out", out}), 1,
               "no/such/folder");
}

}  // namespace
}  // namespace adder::cli
