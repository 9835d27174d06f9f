// The program as its users see it: verbs, fixed forms, exit codes.
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "adder/base/version.h"
#include "adder/cli/ids.h"
#include "adder/cli/test_program.h"
#include "adder/cli/verbs.h"
#include "adder/data/inspect.h"
#include "adder/data/loader.h"
#include "adder/data/prepare.h"
#include "adder/io/file.h"
#include "adder/io/npy.h"
#include "adder/model/directory.h"

namespace adder::cli {
namespace {

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Program, Version) {
  const auto done = run_adder({"--version"});
  EXPECT_EQ(done.code, 0);
  EXPECT_EQ(done.out, std::string("adder ") + kVersion + "\n");
}

TEST(Program, HelpListsEveryVerb) {
  const auto done = run_adder({"--help"});
  EXPECT_EQ(done.code, 0);
  for (const Verb& verb : verbs()) {
    EXPECT_TRUE(holds(done.out, std::string(verb.name) + " ")) << verb.name;
  }
  EXPECT_EQ(run_adder({}).code, 2);
}

TEST(Program, EveryVerbHasHelpWithExamples) {
  for (const Verb& verb : verbs()) {
    if (verb.run == nullptr) continue;
    const auto done = run_adder({std::string(verb.name), "--help"});
    EXPECT_EQ(done.code, 0) << verb.name;
    EXPECT_TRUE(holds(done.out, "usage: adder " + std::string(verb.name))) << done.out;
    EXPECT_TRUE(holds(done.out, "adder " + std::string(verb.name))) << done.out;
    EXPECT_EQ(done.err, "") << verb.name;
  }
}

TEST(Program, UnknownWordsNameTheNearest) {
  const auto verb = run_adder({"genrate"});
  EXPECT_EQ(verb.code, 2);
  EXPECT_TRUE(holds(verb.err, "did you mean generate?")) << verb.err;
  const auto part = run_adder({"data", "encod"});
  EXPECT_EQ(part.code, 2);
  EXPECT_TRUE(holds(part.err, "did you mean encode?")) << part.err;
  const auto flag = run_adder({"generate", "x", "--temprature", "1"});
  EXPECT_EQ(flag.code, 2);
  EXPECT_TRUE(holds(flag.err, "did you mean --temperature?")) << flag.err;
  EXPECT_EQ(flag.out, "");
}

TEST(Program, WrongValuesAreWrongUsage) {
  const auto number = run_adder({"data", "generate", "--out", "x", "--bytes", "many"});
  EXPECT_EQ(number.code, 2);
  EXPECT_TRUE(holds(number.err, "--bytes: expected an integer, got \"many\"")) << number.err;
  EXPECT_EQ(run_adder({"data", "generate", "--out"}).code, 2);
  EXPECT_EQ(run_adder({"data", "encode", "--out", "x"}).code, 2);
  EXPECT_EQ(run_adder({"report", "one", "two"}).code, 2);
  EXPECT_EQ(run_adder({"report"}).code, 2);
}

TEST(Program, ErrorsAreJsonWhenAsked) {
  const auto done = run_adder({"report", "/nowhere/at/all", "--json"});
  EXPECT_EQ(done.code, 1);
  const auto error = done.json().at("error");
  EXPECT_EQ(error.at("kind"), "not found");
  for (const char* key : {"what", "where", "why", "next"}) EXPECT_TRUE(error.contains(key)) << key;
  EXPECT_TRUE(done.err.starts_with("error: "));
}

TEST(Program, EndsQuietlyWhenNobodyReads) {
  const auto done = run_adder_unread({"--help"});
  EXPECT_EQ(done.code, 0);
  EXPECT_EQ(done.signal, 0);
  EXPECT_EQ(done.err, "");
}

TEST(Data, GenerateIsAFunctionOfItsSeed) {
  const TestFolder folder;
  const auto make = [&](const char* name, const char* seed) {
    EXPECT_EQ(
        run_adder({"data", "generate", "--out", folder / name, "--bytes", "3000", "--seed", seed})
            .code,
        0);
    return io::read_file(folder / name, 1 << 20);
  };
  const auto first = make("a.txt", "1");
  EXPECT_GE(first.size(), 3000u);
  EXPECT_EQ(first, make("b.txt", "1"));
  EXPECT_NE(first, make("c.txt", "2"));
}

TEST(Data, EncodeWritesIds) {
  const TestFolder folder;
  const auto text = folder.put("t.txt", "Ab \xc3\xa9\n");
  EXPECT_EQ(
      run_adder({"data", "tokenizer", "--kind", "byte", "--out", folder / "tokenizer.json"}).code,
      0);
  const auto done = run_adder({"data", "encode", "--tokenizer", folder / "tokenizer.json", "--text",
                               text, "--out", folder / "ids.npy"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(io::read_npy(folder / "ids.npy").dtype, DType::i32);
  EXPECT_EQ(read_ids(folder / "ids.npy", 257), (std::vector<int32_t>{65, 98, 32, 0xc3, 0xa9, 10}));
}

TEST(Data, CharTokenizerShardAndInspect) {
  const TestFolder folder;
  const auto text = folder.put("t.txt", "abcabcabcabc");
  EXPECT_EQ(run_adder({"data", "tokenizer", "--text", text, "--out", folder / "t.json"}).code, 0);
  const auto shard = run_adder({"data", "shard", "--text", text, "--tokenizer", folder / "t.json",
                                "--out", folder / "shards", "--json"});
  EXPECT_EQ(shard.code, 0) << shard.err;
  EXPECT_EQ(shard.json().at("tokens"), 12);
  const auto rows =
      run_adder({"data", "inspect", folder / "shards", "--rows", "1", "--length", "5"});
  EXPECT_EQ(rows.code, 0) << rows.err;
  EXPECT_TRUE(holds(rows.out, "abc")) << rows.out;
}

TEST(Data, InspectShowsTheRowsThatARecipeTrainsOn) {
  const TestFolder folder;
  std::string text;
  for (int i = 0; i < 60; ++i) text += std::to_string(i * i) + " ";
  data::DataOptions options{.text = {folder.put("t.txt", text)},
                            .val_fraction = 0,
                            .stride = 3,
                            .cache = folder / "cache"};
  const auto recipe = folder.put(
      "r.toml", "[data]\ntext = [\"" + options.text[0] + "\"]\nstride = 3\ncache = \"" +
                    options.cache + "\"\n[train]\nlength = 12\nseed = 5\noverfit = true\n");
  const auto shown = run_adder({"data", "inspect", recipe, "--rows", "4", "--json"});
  ASSERT_EQ(shown.code, 0) << shown.err;
  const auto prepared = data::prepare(options);
  data::TokenLoader loader(*prepared.shards, prepared.split.train,
                           {.batch_size = 4, .length = 12, .seed = 5, .stride = 3});
  EXPECT_EQ(shown.json().at("rows"),
            io::Json(data::describe_rows(loader.next(), *prepared.tokenizer, 4)));
  EXPECT_TRUE(shown.json().at("held_out").empty());  // overfit
}

TEST(Generate, FixedForm) {
  const TestFolder folder;
  make_model(folder / "model");
  write_ids(folder / "ids.npy", {72, 105});
  const std::vector<std::string> words = {"generate",
                                          folder / "model",
                                          "--ids",
                                          folder / "ids.npy",
                                          "--max-new-tokens",
                                          "6",
                                          "--temperature",
                                          "0",
                                          "--json"};
  const auto done = run_adder(words);
  ASSERT_EQ(done.code, 0) << done.err;
  const auto json = done.json();
  const auto ids = json.at("ids").get<std::vector<int32_t>>();
  ASSERT_EQ(ids.size(), 8u);
  EXPECT_EQ(ids[0], 72);
  EXPECT_EQ(ids[1], 105);
  EXPECT_TRUE(json.at("text").get<std::string>().starts_with("Hi"));
  EXPECT_EQ(run_adder(words).json().at("ids"), json.at("ids"));
  // One thread, and a model without a tokenizer: the same ids.
  std::filesystem::remove(folder / "model/tokenizer.json");
  auto serial = words;
  serial.insert(serial.end(), {"--threads", "1"});
  EXPECT_EQ(run_adder(serial).json().at("ids"), json.at("ids"));
}

TEST(Generate, StreamsThePromptAndMore) {
  const TestFolder folder;
  make_model(folder / "model");
  const auto done = run_adder({"generate", folder / "model", "--prompt", "Hello",
                               "--max-new-tokens", "5", "--seed", "3", "--samples", "2"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_TRUE(done.out.starts_with("Hello"));
  EXPECT_TRUE(holds(done.err, "seed 3")) << done.err;
  EXPECT_TRUE(holds(done.err, "seed 4")) << done.err;
}

// All weights 0: every token has the same chance, whatever came before.
TEST(Eval, PerplexityOfAModelThatKnowsNothing) {
  const TestFolder folder;
  make_model(folder / "model", true);
  const auto text = folder.put("t.txt", "some text");
  for (const char* window : {"0", "3"}) {
    const auto done =
        run_adder({"eval", "perplexity", folder / "model", "--text", text, "--per-token",
                   folder / "out.jsonl", "--window", window, "--json"});
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_EQ(done.json().at("tokens"), 8);
    EXPECT_NEAR(done.json().at("nats_per_token"), std::log(257.0), 1e-6);
    EXPECT_NEAR(done.json().at("perplexity"), 257, 1e-3);
    EXPECT_NEAR(done.json().at("bits_per_byte"), std::log2(257.0), 1e-6);
    std::istringstream lines(io::read_file(folder / "out.jsonl", 1 << 20));
    std::string predicted;
    for (std::string line; std::getline(lines, line);) {
      const auto json = io::parse_json(line, "out.jsonl");
      predicted += static_cast<char>(json.at("token").get<int>());
      EXPECT_NEAR(json.at("loss"), std::log(257.0), 1e-6);
    }
    EXPECT_EQ(predicted, "ome text");
  }
}

TEST(Eval, IdsAndTextAgree) {
  const TestFolder folder;
  make_model(folder / "model");
  const auto text = folder.put("t.txt", "abc");
  write_ids(folder / "ids.npy", {97, 98, 99});
  const auto by_text =
      run_adder({"eval", "perplexity", folder / "model", "--text", text, "--json"});
  const auto by_ids =
      run_adder({"eval", "perplexity", folder / "model", "--ids", folder / "ids.npy", "--json"});
  EXPECT_EQ(by_text.json().at("nats_per_token"), by_ids.json().at("nats_per_token"));
}

TEST(Chat, CommandsAndTurns) {
  const TestFolder folder;
  make_model(folder / "model");
  const std::vector<std::string> words = {"chat", folder / "model", "--max-new-tokens", "4",
                                          "--json"};
  const std::string file = folder / "talk.safetensors";
  const auto done =
      run_adder(words, "Hello\n/undo\nHello\n/save " + file + "\n/temperature 0.5\n/quit\nx\n");
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(std::ranges::count(done.out, '\n'), 2) << done.out;
  EXPECT_TRUE(holds(done.err, "taken back")) << done.err;
  EXPECT_TRUE(holds(done.err, "temperature 0.5")) << done.err;
  const auto again = run_adder(words, "/load " + file + "\nmore");
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_TRUE(holds(again.err, "loaded: 9 tokens")) << again.err;  // "Hello" and 4 drawn
  EXPECT_TRUE(holds(run_adder(words, "/tempratur 1\n").err, "did you mean /temperature?"));
}

TEST(Chat, LinesMayEndAsOnWindows) {
  const TestFolder folder;
  make_model(folder / "model");
  const std::vector<std::string> words = {"chat", folder / "model", "--max-new-tokens", "4",
                                          "--json"};
  const auto plain = run_adder(words, "Hello\n/seed 9223372036854775807\nHello\nHello\n");
  EXPECT_EQ(plain.code, 0) << plain.err;
  const auto windows = run_adder(words, "Hello\r\n/seed 9223372036854775807\r\nHello\r\nHello\r\n");
  EXPECT_EQ(windows.out, plain.out);
}

TEST(Generate, EndsWhereTheDirectorySays) {
  const TestFolder folder;
  make_model(folder / "model");
  write_ids(folder / "ids.npy", {72, 105});
  const std::vector<std::string> words = {
      "generate", folder / "model", "--ids", folder / "ids.npy", "--max-new-tokens",
      "6",        "--temperature",  "0",     "--ignore-eos",     "--json"};
  const auto ids = run_adder(words).json().at("ids").get<std::vector<int32_t>>();
  ASSERT_EQ(ids.size(), 8u);
  std::filesystem::remove(folder / "model/tokenizer.json");
  folder.put("model/generation_config.json",
             "{\"eos_token_id\": [" + std::to_string(ids[2]) + "]}");
  EXPECT_EQ(run_adder(words).json().at("ids"), ids);
  auto obedient = words;
  std::erase(obedient, "--ignore-eos");
  const auto ended = run_adder(obedient).json();
  EXPECT_EQ(ended.at("ids").size(), 3u);
  EXPECT_EQ(ended.at("reason"), "eos");
}

TEST(Convert, ToAdderAndBackKeepsTheControlTokens) {
  const TestFolder folder;
  make_model(folder / "model");
  folder.put("model/generation_config.json", R"({"eos_token_id": 256, "temperature": 0.7})");
  ASSERT_EQ(run_adder({"convert", folder / "model", folder / "own", "--to", "adder"}).code, 0);
  ASSERT_EQ(run_adder({"convert", folder / "own", folder / "back", "--to", "hf"}).code, 0);
  EXPECT_EQ(io::read_json_file(folder / "own/config.json").at("model_type"), "adder");
  for (const char* made : {"own", "back"}) {
    for (const char* file : {"config.json", "generation_config.json"}) {
      const auto json = io::read_json_file(folder / made + "/" + file);
      EXPECT_EQ(json.at("eos_token_id"), 256);
      EXPECT_TRUE(json.at("pad_token_id").is_null());
    }
    EXPECT_EQ(io::read_json_file(folder / made + "/generation_config.json").at("temperature"), 0.7);
  }
  EXPECT_EQ(io::read_file(folder / "back/model.safetensors", 1 << 24),
            io::read_file(folder / "model/model.safetensors", 1 << 24));
}

TEST(Convert, ToBf16AndHuggingFace) {
  const TestFolder folder;
  make_model(folder / "model");
  const auto done =
      run_adder({"convert", folder / "model", folder / "small", "--to", "hf", "--dtype", "bf16"});
  ASSERT_EQ(done.code, 0) << done.err;
  const auto made = model::ModelDirectory::open(folder / "small");
  EXPECT_EQ(made.weights().at("backbone.embeddings.weight").dtype, DType::bf16);
  EXPECT_EQ(
      run_adder({"generate", folder / "small", "--prompt", "a", "--max-new-tokens", "2"}).code, 0);
  EXPECT_EQ(run_adder({"convert", folder / "model", folder / "small"}).code, 1);  // it is there
}

TEST(Doctor, SaysWhatTheMachineIs) {
  const auto done = run_adder({"doctor", "--json"});
  EXPECT_EQ(done.code, 0) << done.err;
  const io::Json said = done.json();
  EXPECT_GE(said.at("cores").get<int>(), 1);
  EXPECT_TRUE(said.at("device").at("found").get<bool>() || said.at("device").at("why") != "");
  for (const auto& problem : said.at("problems")) EXPECT_NE(problem.at("fix"), "");
}

TEST(Plan, CountsWhatTheRecipeSays) {
  const TestFolder folder;
  const auto recipe = folder.put("r.toml", "[model]\nvocab_size = 65\nd_model = 32\nn_layer = 2\n");
  const auto done = run_adder({"plan", recipe, "--model.n_layer", "3", "--json"});
  ASSERT_EQ(done.code, 0) << done.err;
  model::ModelConfig config;
  config.vocab_size = 65;
  config.d_model = 32;
  config.n_layer = 3;
  EXPECT_EQ(done.json().at("parameters"), model::parameter_count(config));
}

TEST(Plan, FindsTheLargestBatchForAGivenMemory) {
  const TestFolder folder;
  const auto recipe = folder.put("r.toml", "[model]\nvocab_size = 65\nd_model = 32\nn_layer = 2\n");
  const auto seven = run_adder({"plan", recipe, "--train.batch_size", "7", "--json"});
  ASSERT_EQ(seven.code, 0) << seven.err;
  const auto peak = seven.json().at("peak_bytes").get<int64_t>() + 1;  // rounded down there
  const auto done = run_adder({"plan", recipe, "--memory", std::to_string(peak), "--json"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.json().at("largest_batch_size"), 7);
  EXPECT_EQ(done.json().at("memory_limit_bytes"), peak);
  const auto words = run_adder({"plan", recipe, "--memory", "1MB"});
  EXPECT_NE(words.out.find("with 1.00 MB: not even batch_size 1 fits"), std::string::npos)
      << words.out;
  const auto bad = run_adder({"plan", recipe, "--memory", "3 apples"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_NE(bad.err.find("--memory"), std::string::npos) << bad.err;
}

}  // namespace
}  // namespace adder::cli
