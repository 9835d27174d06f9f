#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "adder/cli/test_program.h"
#include "adder/io/file.h"
#include "adder/text/char_tokenizer.h"
#include "adder/text/word_counter.h"
#include "adder/text/word_tokenizer.h"

namespace adder::cli {
namespace {

using Words = std::vector<std::string>;

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<io::Json> lines_of(const Finished& done) {
  std::vector<io::Json> lines;
  std::istringstream in(done.out);
  for (std::string line; std::getline(in, line);) lines.push_back(io::parse_json(line, "line"));
  return lines;
}

class ChatVerb : public testing::Test {
 protected:
  ChatVerb() { make_model(model()); }
  std::string model() const { return folder_ / "model"; }
  Finished run(const std::string& input, const Words& more = {}) const {
    Words words = {"chat", model(), "--max-new-tokens", "6", "--ignore-eos", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return run_adder(words, input);
  }

  const TestFolder folder_;
};

TEST_F(ChatVerb, AgainDrawsAnotherAnswerToTheSameLine) {
  const auto done = run("Hello\n/again\n/undo\nHello\n/stats\n");
  EXPECT_EQ(done.code, 0) << done.err;
  const auto lines = lines_of(done);
  ASSERT_EQ(lines.size(), 4u) << done.out;
  EXPECT_NE(lines[0].at("ids"), lines[1].at("ids"));
  EXPECT_EQ(lines[1].at("prompt_tokens"), 5);
  // Answers draw with seeds that go on: the third is what seed 2 draws.
  const auto third = lines_of(run("Hello\n", {"--seed", "2"}));
  EXPECT_EQ(lines[2].at("ids"), third.at(0).at("ids"));
  EXPECT_EQ(lines[3].at("tokens"), 11);
}

TEST_F(ChatVerb, GreedyAnswersAreGivenAgain) {
  const auto done = run("Hello\n/again\n", {"--temperature", "0"});
  const auto lines = lines_of(done);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].at("ids"), lines[1].at("ids"));
  EXPECT_TRUE(holds(done.err, "temperature 0")) << done.err;
}

TEST_F(ChatVerb, MoreGoesOnWithTheAnswer) {
  const Words greedy = {"--temperature", "0"};
  const auto lines = lines_of(run("Hello\n/more\n", greedy));
  ASSERT_EQ(lines.size(), 2u);
  auto both = lines[0].at("ids").get<std::vector<int32_t>>();
  for (const auto& id : lines[1].at("ids")) both.push_back(id);
  const auto twelve = lines_of(run("/max-new-tokens 12\nHello\n", greedy));
  EXPECT_EQ(twelve.at(0).at("ids"), both);
  EXPECT_EQ(run("/more\n").code, 1);
  EXPECT_EQ(run("/again\n").code, 1);
}

TEST_F(ChatVerb, OnePrompt) {
  const auto done = run("not read\n", {"-p", "Hello"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.out, run("Hello\n").out);
  EXPECT_EQ(run("\n  \nHello\n").out, done.out);  // a blank line says nothing
  const auto plain = run_adder({"chat", model(), "-p", "Hello", "--max-new-tokens", "0"});
  EXPECT_EQ(plain.out, "\n");
  EXPECT_EQ(run_adder({"chat", model(), "-p", ""}).code, 2);
}

TEST_F(ChatVerb, AFileIsReadFirst) {
  std::string text;
  for (int i = 0; i < 30000; ++i) text += "line " + std::to_string(i) + " \u00E9\n";
  const auto file = folder_.put("book.txt", text);
  const Words greedy = {"--temperature", "0", "--file", file};
  const auto done = run("/stats\nHello\n/undo\n/undo\n/stats\n", greedy);
  EXPECT_EQ(done.code, 0) << done.err;
  const auto lines = lines_of(done);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].at("tokens"), text.size());  // a token is a byte
  EXPECT_EQ(lines[2].at("tokens"), 0);
  // What is between a text and a line is a line's end.
  const auto whole = folder_.put("whole.txt", text + "\nHello");
  const auto made = run_adder({"generate", model(), "--prompt-file", whole, "--temperature", "0",
                               "--max-new-tokens", "6", "--ignore-eos", "--json"});
  EXPECT_EQ(made.json().at("new_text"), lines[1].at("text"));
  EXPECT_EQ(made.json().at("prompt_tokens"), text.size() + 6);
  EXPECT_EQ(run("", {"--file", folder_ / "none"}).code, 1);
  EXPECT_EQ(
      run_adder({"chat", model(), "--file", "-", "-p", "x", "--max-new-tokens", "1"}, "abc").code,
      0);
}

TEST_F(ChatVerb, TheStateIsKept) {
  const std::string state = folder_ / "talk.state";
  const Words keep = {"--keep-state", state, "--temperature", "0"};
  const auto first = run("Hello\n", keep);
  EXPECT_EQ(first.code, 0) << first.err;
  const auto second = lines_of(run("and\n/stats\n", keep));
  const auto at_once = lines_of(run("Hello\nand\n/stats\n", {"--temperature", "0"}));
  ASSERT_EQ(second.size(), 2u);
  EXPECT_EQ(second[0].at("ids"), at_once.at(1).at("ids"));
  EXPECT_EQ(second[1].at("tokens"), at_once.at(2).at("tokens"));
  folder_.put("talk.state", "nonsense");
  EXPECT_EQ(run("Hello\n", keep).code, 1);
  EXPECT_EQ(io::read_file(state, 100), "nonsense");
}

TEST_F(ChatVerb, AnAnswerGoesOnFromAFile) {
  const auto file = folder_.put("book.txt", "Hello");
  const auto lines = lines_of(run("/more\n", {"--file", file, "--temperature", "0"}));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].at("ids"), lines_of(run("Hello\n", {"--temperature", "0"})).at(0).at("ids"));
}

TEST_F(ChatVerb, AKeptConversationDoesNotReadItsFileAgain) {
  const auto file = folder_.put("book.txt", "Hello");
  const Words keep = {"--keep-state", folder_ / "talk.state", "--file", file};
  EXPECT_EQ(lines_of(run("/stats\n", keep)).at(0).at("tokens"), 5);
  const auto again = run("/stats\n", keep);
  EXPECT_EQ(lines_of(again).at(0).at("tokens"), 5);
  EXPECT_TRUE(holds(again.err, "is not read")) << again.err;
}

TEST_F(ChatVerb, ALineOfDataWritesOverNoFile) {
  const auto notes = folder_.put("notes.txt", "my notes");
  const auto done = run("/save " + notes + "\n//save " + notes + "\n/stats\n");
  EXPECT_EQ(done.code, 1);
  EXPECT_EQ(io::read_file(notes, 100), "my notes");
  const auto lines = lines_of(done);
  ASSERT_EQ(lines.size(), 3u) << done.out;
  EXPECT_EQ(lines[1].at("prompt_tokens"), 6 + notes.size());  // "/save FILE" is a text then
}

TEST_F(ChatVerb, LinesOfQuestionsAndAnswers) {
  const Words greedy = {"--temperature", "0", "--lines"};
  const auto one = lines_of(run("Hello\n", greedy)).at(0);
  EXPECT_EQ(one.at("prompt_tokens"), 6);  // the line and its end
  const auto as_flags =
      lines_of(run("Hello\n", {"--temperature", "0", "--after", "\\n", "--stop", "\\n"}));
  EXPECT_EQ(as_flags.at(0).at("ids"), one.at("ids"));
  // Where the text ends with a line's end there is none between; else there is one.
  for (const char* text : {"a b\n", "a b"}) {
    const auto done =
        run("/max-new-tokens 0\nc\n/stats\n", {"--lines", "--file", folder_.put("talk.txt", text)});
    EXPECT_EQ(lines_of(done).at(1).at("tokens"), 6) << done.err;  // a b, c: two lines
  }
  for (const Words& other : {Words{"--after", "x"}, {"--template", "chatml"}, {"--system", "x"}}) {
    const auto refused = run("", {"--lines", other[0], other[1]});
    EXPECT_TRUE(holds(refused.err, "--lines does not go with " + other[0])) << refused.err;
  }
  const auto refused = run("", {"--system", "x", "--template", "chatml", "--file", "none"});
  EXPECT_TRUE(holds(refused.err, "--system does not go with --file")) << refused.err;
}

TEST_F(ChatVerb, SettingsThatDoNotFitChangeNothing) {
  const auto done = run("/top-p 3\n/top-p\n/seed\n/temperature x\n/temperature\n/save\n/undo 3\n");
  EXPECT_EQ(done.code, 1);
  EXPECT_TRUE(holds(done.err, "top-p 1\n")) << done.err;
  EXPECT_TRUE(holds(done.err, "seed 0\n")) << done.err;
  EXPECT_TRUE(holds(done.err, "temperature 0.8\n")) << done.err;
  EXPECT_TRUE(holds(done.err, "/save wants FILE")) << done.err;
  EXPECT_TRUE(holds(done.err, "/undo takes nothing")) << done.err;
}

TEST_F(ChatVerb, StopTexts) {
  const auto all = lines_of(run("Hello\n", {"--temperature", "0"})).at(0).at("text");
  const std::string text = all.get<std::string>();
  ASSERT_FALSE(text.empty());
  const std::string first = text.substr(0, 1 + text.find_first_not_of("\x80"));
  const auto stopped =
      run("/stop " + first + "\nHello\n/reset\n/stop none\nHello\n", {"--temperature", "0"});
  const auto lines = lines_of(stopped);
  ASSERT_EQ(lines.size(), 2u) << stopped.err;
  EXPECT_EQ(lines[0].at("text"), "");
  EXPECT_EQ(lines[0].at("reason"), "stop");
  EXPECT_EQ(lines[1].at("text"), text);
}

TEST_F(ChatVerb, HelpNamesEveryCommand) {
  const auto help = run("/help\n").err;
  for (const char* name : {"again",       "more",  "undo",       "reset", "read",
                           "tokens",      "stats", "save",       "load",  "max-new-tokens",
                           "temperature", "top-k", "top-p",      "min-p", "repetition-penalty",
                           "seed",        "stop",  "ignore-eos", "help",  "quit"}) {
    EXPECT_TRUE(holds(help, std::string("\n  /") + name)) << name;
  }
}

TEST_F(ChatVerb, TokensAreShown) {
  const auto json = lines_of(run("/tokens a\u00E9\n"));
  EXPECT_EQ(json.at(0).at("ids"), (std::vector<int32_t>{'a', 0xC3, 0xA9}));
  const auto plain = run_adder({"chat", model()}, "/tokens ab\n");
  EXPECT_EQ(plain.out, "a|b\n97 98\n2 tokens\n");
}

TEST_F(ChatVerb, CharactersThatTheVocabularyLacksAreReported) {
  text::WordCounter counter({}, {});
  counter.add("Hello you there.");
  std::filesystem::remove(model() + "/tokenizer.json");
  text::WordTokenizer(counter.make()).save(model() + "/word_tokenizer.json");
  const auto done = run("Hello \u6F22 you\u00E9\u00E9.\n/tokens \u6F22\n");
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_TRUE(holds(done.err, "cannot write it: '\u00E9' (2 times), '\u6F22'\n") ||
              holds(done.err, "cannot write it: '\u6F22', '\u00E9' (2 times)\n"))
      << done.err;
  const auto lines = lines_of(done);
  ASSERT_EQ(lines.size(), 2u) << done.out;
  EXPECT_EQ(lines[0].at("dropped"), io::Json({{"\u00E9", 2}, {"\u6F22", 1}}));
  EXPECT_TRUE(lines[1].at("ids").empty());

  const auto file = folder_.put("text", "you \u6F22 there\n");
  EXPECT_TRUE(holds(run("", {"--file", file}).err, "cannot write it: '\u6F22'\n"));
  const auto made = run_adder({"generate", model(), "--prompt-file", file});
  EXPECT_TRUE(holds(made.err, "cannot write it: '\u6F22'\n")) << made.err;
  const auto empty = folder_.put("empty", "\u6F22");
  for (const Words& words : {Words{"generate", model(), "--prompt-file", empty},
                             {"generate", model(), "--prompt", "\u6F22"},
                             {"chat", model(), "--file", empty}}) {
    const auto refused = run_adder(words);
    EXPECT_EQ(refused.code, 2) << words[0];
    const auto note = refused.err.find("cannot write it: '\u6F22'\n");
    EXPECT_LT(note, refused.err.find("error:")) << refused.err;
  }
  const auto nothing = run("\u6F22\n");
  EXPECT_EQ(nothing.code, 1);
  EXPECT_TRUE(holds(nothing.err, "nothing of the line is left")) << nothing.err;
}

TEST_F(ChatVerb, ACharacterThatTheTokenizerRefusesLeavesTheConversation) {
  text::CharTokenizer::train("Helo\n").save(std::filesystem::path(model()) / "tokenizer.json");
  const auto done = run("Hello\nx\n/stats\n");
  EXPECT_EQ(done.code, 1);  // a script must see it
  const auto lines = lines_of(done);
  ASSERT_EQ(lines.size(), 3u) << done.out;
  EXPECT_TRUE(holds(lines[1].at("error").at("what"), "'x'")) << done.out;
  EXPECT_EQ(lines[2].at("tokens"), 11);
}

}  // namespace
}  // namespace adder::cli
