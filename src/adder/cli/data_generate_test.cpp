// adder data generate as its users see it.
#include <gtest/gtest.h>

#include <filesystem>

#include "adder/cli/test_program.h"
#include "adder/io/file.h"
#include "adder/io/test_http_server.h"

namespace adder::cli {
namespace {

using io::TestHttpServer;

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string read(const std::string& file) {
  return io::read_file(file, 16 << 20);
}

TEST(DataGenerate, OfflineIsTheDefaultAndWritesStories) {
  const TestFolder folder;
  const auto plain = run_adder({"data", "generate", "--bytes", "20000", "--out", folder / "a.txt"});
  EXPECT_EQ(plain.code, 0) << plain.err;
  EXPECT_TRUE(holds(plain.err, "stories, ")) << plain.err;
  const auto named = run_adder({"data", "generate", "--backend", "offline", "--kinds", "stories",
                                "--bytes", "20000", "--out", folder / "b.txt", "--json"});
  EXPECT_EQ(read(folder / "a.txt"), read(folder / "b.txt"));
  EXPECT_EQ(named.json().at("bytes"), read(folder / "b.txt").size());
}

TEST(DataGenerate, KindsChoose) {
  const TestFolder folder;
  EXPECT_EQ(run_adder({"data", "generate", "--kinds", "all", "--bytes", "50000", "--out",
                       folder / "all.txt"})
                .code,
            0);
  EXPECT_EQ(run_adder({"data", "generate", "--kinds", "stories,words,topics,dates,chats", "--bytes",
                       "50000", "--out", folder / "five.txt"})
                .code,
            0);
  EXPECT_EQ(read(folder / "all.txt"), read(folder / "five.txt"));
  const auto wrong = run_adder({"data", "generate", "--kinds", "poems", "--out", folder / "x"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_TRUE(holds(wrong.err, "poems") && holds(wrong.err, "dates")) << wrong.err;
}

TEST(DataGenerate, AFlagOfAnotherBackEndIsRefused) {
  EXPECT_TRUE(holds(run_adder({"data", "generate", "--out", "x", "--model", "m"}).err,
                    "--model says nothing"));
  EXPECT_EQ(run_adder({"data", "generate", "--out", "x", "--retries", "3"}).code, 2);
  EXPECT_EQ(run_adder({"data", "generate", "--backend", "ollama", "--model", "m", "--out", "x",
                       "--bytes", "3"})
                .code,
            2);
  EXPECT_EQ(run_adder({"data", "generate", "--backend", "ollama", "--out", "x"}).code, 2);
  EXPECT_EQ(
      run_adder({"data", "generate", "--backend", "openai", "--model", "m", "--out", "x"}).code, 2);
  EXPECT_EQ(run_adder({"data", "generate", "--backend", "ollama", "--model", "m", "--out", "x",
                       "--timeout", "-1"})
                .code,
            2);
}

TEST(DataGenerate, ADryRunSendsNothing) {
  const TestFolder folder;
  const std::string list = folder.put("words.txt", "apple\nbear\n");
  const auto done = run_adder(
      {"data", "generate", "--backend", "ollama", "--dry-run", "--lists", list, "--limit", "2"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_TRUE(holds(done.out, "words/definition/apple.txt: Explain the word \"apple\""))
      << done.out;
  EXPECT_TRUE(holds(done.err, "2 of 6 requests")) << done.err;
}

TEST(DataGenerate, ADryRunChecksWhatARealOneDoes) {
  const auto code = [](std::vector<std::string> more) {
    std::vector<std::string> words = {"data", "generate", "--backend", "openai", "--dry-run"};
    words.insert(words.end(), more.begin(), more.end());
    return run_adder(words).code;
  };
  EXPECT_EQ(code({"--limit", "1"}), 0);
  EXPECT_EQ(code({"--temperature", "-1"}), 2);
  EXPECT_EQ(code({"--endpoint", "http://h/v1?a=b"}), 2);
  EXPECT_EQ(code({"--min-length", "50", "--max-length", "40"}), 2);
}

TEST(DataGenerate, AKeyThatNobodyNamedIsNotSentInTheClear) {
  const TestFolder folder;
  TestHttpServer server([](const io::TestRequest& request, const TestHttpServer::Send& send) {
    EXPECT_FALSE(holds(request.head, "Authorization")) << request.head;
    send(TestHttpServer::reply("400 Bad Request", "{}"));
  });
  run_adder({"data", "generate", "--backend", "openai", "--endpoint", server.url("/v1"), "--model",
             "m", "--limit", "1", "--out", folder / "made"},
            "", {"OPENAI_API_KEY=sk-nobody-may-see-this"});
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST(DataGenerate, AsksAServerAndKeepsTheKeyToItself) {
  const TestFolder folder;
  const std::string key = "sk-nobody-may-see-this";
  TestHttpServer server([&](const io::TestRequest& request, const TestHttpServer::Send& send) {
    EXPECT_TRUE(holds(request.head, "Authorization: Bearer " + key)) << request.head;
    const std::string about = holds(request.body, "apple") ? "apple" : "bear";
    const std::string text = "The " + about +
                             " is what this text is about, and it was here before " + about +
                             " was a word that they had.";
    const io::Json reply = {{"choices", io::Json::array({{{"message", {{"content", text}}},
                                                          {"finish_reason", "stop"}}})}};
    send(TestHttpServer::reply(request.number == 0 ? "429 Too Many Requests" : "200 OK",
                               request.number == 0 ? "{\"error\":\"" + key + "\"}" : reply.dump()));
  });
  const std::vector<std::string> words = {
      "data",        "generate",
      "--backend",   "openai",
      "--endpoint",  server.url("/v1"),
      "--model",     "m",
      "--lists",     folder.put("words.txt", "apple\nbear\n"),
      "--templates", folder.put("t.toml", "[words]\nabout = \"Write about {item}\"\n"),
      "--key-env",   "MY_KEY",
      "--backoff",   "0.001",
      "--out",       folder / "made",
      "--json"};
  const auto done = run_adder(words, "", {"MY_KEY=" + key});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.json().at("done"), 2) << done.out;
  EXPECT_TRUE(holds(read(folder / "made/texts/words/about/apple.txt"), "The apple is"));
  EXPECT_FALSE(holds(done.err + done.out + read(folder / "made/manifest.jsonl"), key)) << done.err;
  EXPECT_EQ(server.seen().size(), 3u);
  const auto again = run_adder(words, "", {"MY_KEY=" + key});
  EXPECT_EQ(again.json().at("earlier"), 2) << again.err;
  EXPECT_EQ(server.seen().size(), 3u);
  const auto keyless = run_adder(words);
  EXPECT_EQ(keyless.code, 2);
  EXPECT_TRUE(holds(keyless.err, "MY_KEY")) << keyless.err;
}

}  // namespace
}  // namespace adder::cli
