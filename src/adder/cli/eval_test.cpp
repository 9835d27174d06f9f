// The suites of `adder eval`, from files to figures.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

#include "adder/base/version.h"
#include "adder/cli/test_program.h"
#include "adder/io/file.h"
#include "adder/io/json.h"
#include "adder/text/char_tokenizer.h"
#include "adder/text/utf8.h"

namespace adder::cli {
namespace {

namespace fs = std::filesystem;

/// The golden model with a tokenizer of single characters (tests/golden/make_tasks.py).
class EvalSuites : public testing::Test {
 protected:
  EvalSuites() {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    const fs::path golden = fs::path(ADDER_SOURCE_DIR) / "tests/golden/mamba2-plain";
    fs::copy(golden, folder_ / "model");
    golden_ = io::read_json_file(golden / "tasks.golden.json");
    text::CharVocabulary vocabulary;
    text::for_each_code_point(golden_.at("characters").get<std::string>(),
                              [&](char32_t c, size_t) { vocabulary.characters.push_back(c); });
    text::CharTokenizer(vocabulary).save(folder_ / "model/tokenizer.json");
    model_ = (folder_ / "model").string();
    tasks_ = (golden / "tasks.jsonl").string();
  }
  ~EvalSuites() override { fs::remove_all(folder_); }

  std::string put(const std::string& name, const std::string& content) {
    io::write_file_atomic(folder_ / name, content);
    return (folder_ / name).string();
  }

  fs::path folder_ = fs::path(testing::TempDir()) / "adder_cli_eval";
  std::string model_, tasks_;
  io::Json golden_;
};

TEST_F(EvalSuites, ChoicesAreThoseOfTheGoldenFile) {
  const std::string items = (folder_ / "items.jsonl").string();
  const auto done =
      run_adder({"eval", "choices", model_, "--file", tasks_, "--per-item", items, "--json"});
  ASSERT_EQ(done.code, 0) << done.err;
  const io::Json want = golden_.at("scores");
  for (const char* name : {"acc", "acc_norm", "acc_bytes", "acc_stderr"}) {
    EXPECT_NEAR(done.json().at("choices").at(name).get<double>(),
                want.at("choices").at(name).get<double>(), 1e-9);
  }
  EXPECT_EQ(done.json().at("cloze").at("acc"), want.at("cloze").at("acc"));
  const std::string lines = io::read_file(items, 1 << 20);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'),
            static_cast<int64_t>(golden_.at("items").size()));
  const auto table = run_adder({"eval", "choices", model_, "--file", tasks_});
  EXPECT_NE(table.out.find("acc_norm     0.4583 +- 0.1039"), std::string::npos) << table.out;
}

TEST_F(EvalSuites, MalformedTasksNameFileAndLine) {
  const auto bad =
      put("bad.jsonl", "\n{\"context\": \"a\", \"choices\": [\"b\", \"c\"], \"gold\": 9}\n");
  const auto done = run_adder({"eval", "choices", model_, "--file", bad});
  EXPECT_EQ(done.code, 1);
  EXPECT_NE(done.err.find("bad.jsonl:2"), std::string::npos) << done.err;
  const auto unknown = put("unknown.jsonl", "{\"context\": \"#\", \"target\": \"a\"}\n");
  const auto foreign = run_adder({"eval", "choices", model_, "--file", unknown});
  EXPECT_EQ(foreign.code, 2);  // the tokenizer cannot write it
  EXPECT_NE(foreign.err.find("unknown.jsonl:1"), std::string::npos) << foreign.err;
  EXPECT_EQ(run_adder({"eval", "choices", model_, "--file", put("empty.jsonl", "\n")}).code, 1);
  EXPECT_EQ(run_adder({"eval", "choices", model_}).code, 2);
}

TEST_F(EvalSuites, PerplexityOfSeveralDocuments) {
  const auto lines = put("two.jsonl", "{\"text\": \"first one\"}\n{\"text\": \"and a second\"}\n");
  const auto file = put("third.txt", "a third, longer than these");
  const std::string losses = (folder_ / "losses.jsonl").string();
  const auto done = run_adder({"eval", "perplexity", model_, "--text", lines, "--text", file,
                               "--per-token", losses, "--json"});
  ASSERT_EQ(done.code, 0) << done.err;
  const io::Json json = done.json();
  EXPECT_EQ(json.at("documents"), 3);
  EXPECT_EQ(json.at("tokens"), 8 + 11 + 25);
  EXPECT_EQ(json.at("bytes"), 8 + 11 + 25);
  double sum = 0;
  std::istringstream each(io::read_file(losses, 1 << 20));
  for (std::string line; std::getline(each, line);)
    sum += io::parse_json(line, "losses").at("loss").get<double>();
  EXPECT_NEAR(json.at("nats_per_token").get<double>(), sum / 44, 1e-9);
  const auto& interval = json.at("confidence_95").at("perplexity");
  EXPECT_LT(interval[0].get<double>(), json.at("perplexity").get<double>());
  EXPECT_GT(interval[1].get<double>(), json.at("perplexity").get<double>());
  const auto one = run_adder({"eval", "perplexity", model_, "--text", file});
  EXPECT_NE(one.out.find("so no interval"), std::string::npos) << one.out;
}

TEST_F(EvalSuites, ASeparatorIsWrittenAsInARecipe) {
  const auto file = put("parts.txt", "first one\n\nand a second\n\nand more");
  const auto done =
      run_adder({"eval", "perplexity", model_, "--text", file, "--separator", "\\n\\n", "--json"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.json().at("documents"), 3);
  EXPECT_EQ(run_adder({"eval", "perplexity", model_, "--text", file, "--separator", "\\q"}).code,
            2);
}

TEST_F(EvalSuites, ResultsSayWhatTheyAreOf) {
  const auto text = put("a.txt", "some words");
  for (const auto& [suite, flag, file] :
       {std::array<std::string, 3>{"choices", "--file", tasks_}, {"perplexity", "--text", text}}) {
    const io::Json json = run_adder({"eval", suite, model_, flag, file, "--json"}).json();
    EXPECT_EQ(json.at("model"), model_);
    EXPECT_EQ(json.at("adder"), kVersion);
    EXPECT_EQ(json.at("tokenizer"), text::load_tokenizer(model_)->hash());
    EXPECT_EQ(json.at("files"), io::Json::array({file}));
    EXPECT_GE(json.at("seconds").get<double>(), 0);
  }
}

TEST_F(EvalSuites, OneItemIsPrintedWithoutAnErrorBar) {
  const auto one = put("one.jsonl", "{\"context\": \"ab\", \"target\": \"c\"}\n");
  const auto done = run_adder({"eval", "choices", model_, "--file", one});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.out.find("+-"), std::string::npos) << done.out;
}

TEST_F(EvalSuites, AnUnknownSuiteIsAnErrorThatNamesTheKnown) {
  const auto done = run_adder({"eval", "guess", model_});
  EXPECT_EQ(done.code, 2);
  EXPECT_NE(done.err.find("perplexity, choices"), std::string::npos) << done.err;
}

}  // namespace
}  // namespace adder::cli
