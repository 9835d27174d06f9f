#include "adder/data/generate/remote.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <cmath>
#include <csignal>
#include <map>
#include <set>

#include "adder/base/error.h"
#include "adder/data/test_folder.h"
#include "adder/io/file.h"
#include "adder/io/test_http_server.h"

namespace adder::data {
namespace {

namespace fs = std::filesystem;
using io::TestHttpServer;
using io::TestRequest;
using Send = TestHttpServer::Send;
using std::chrono::milliseconds;

constexpr const char* kKey = "sk-very-secret";

/// A text that no filter minds, and that is unlike those of other items.
std::string text_about(const std::string& item) {
  return "The " + item + " of " + item + " is what this is about, and " + item +
         " was the first of " + item + " to be here. They had " + item +
         " with them and it was their " + item + ".";
}

/// The last word of the prompt, as the templates of these tests make it.
std::string item_in(const TestRequest& request) {
  const size_t at = request.body.find("about ");
  return request.body.substr(at + 6, request.body.find('"', at) - at - 6);
}

std::string ollama_reply(const std::string& text) {
  const io::Json json = {{"response", text}, {"done", true}, {"eval_count", 9}};
  return TestHttpServer::reply("200 OK", json.dump());
}

void answer_well(const TestRequest& request, const Send& send) {
  send(ollama_reply(text_about(item_in(request))));
}

class GenerateRemote : public testing::Test {
 protected:
  GenerateRemote() {
    options_.backoff = 0.001;
    options_.max_backoff = 0.02;
    options_.timeout = 10;
    options_.retries = 3;
    server_.model = "m";
    server_.key = kKey;
    server_.stream = false;
  }

  RemoteCounts run(const TestHttpServer& server) { return run(server.url()); }
  RemoteCounts run(const std::string& endpoint) {
    server_.url = llm_url(server_.api, endpoint);
    const std::vector<PromptTemplate> templates = {{"words", "story", "Write about {item}"}};
    return generate_remote(server_, make_tasks({{"words", items_}}, templates, seed_), filters_,
                           options_, out_,
                           [&](const RemoteCounts& counts, const std::vector<std::string>& notes) {
                             for (const auto& note : notes) notes_ += note + "\n";
                             return !stop_ && (stop_after_ == 0 || counts.done < stop_after_);
                           });
  }
  fs::path file(const std::string& item) const {
    return out_ / "texts/words/story" / (item + ".txt");
  }
  std::string text(const std::string& item) const { return io::read_file(file(item), 1 << 20); }
  std::string manifest() const { return io::read_file(out_ / "manifest.jsonl", 1 << 20); }
  bool said(const std::string& words) const { return notes_.find(words) != std::string::npos; }

  TestFolder folder_;
  fs::path out_ = folder_ / "out";
  std::vector<std::string> items_ = {"apple", "bear", "cloud", "door"};
  int64_t seed_ = 1;
  LlmServer server_;
  TextFilters filters_;
  RemoteOptions options_;
  std::string notes_;
  int64_t stop_after_ = 0;
  std::atomic<bool> stop_ = false;
};

TEST_F(GenerateRemote, WritesATextForEachItem) {
  TestHttpServer server(answer_well);
  const auto counts = run(server);
  EXPECT_EQ(counts.done, 4);
  EXPECT_EQ(counts.tokens, 36);
  EXPECT_EQ(server.seen().size(), 4u);
  for (const auto& item : items_) EXPECT_EQ(text(item), text_about(item) + "\n");
  for (const auto& request : server.seen()) EXPECT_EQ(request.target(), "/api/generate");
}

TEST_F(GenerateRemote, SpeaksEveryProtocolWholeAndStreamed) {
  const std::string text = text_about("apple");
  items_ = {"apple"};
  for (const auto api : {LlmApi::kOllamaGenerate, LlmApi::kOllamaChat, LlmApi::kOpenAiChat}) {
    for (const bool stream : {false, true}) {
      TestHttpServer server([&](const TestRequest& request, const Send& send) {
        EXPECT_NE(request.body.find(stream ? "\"stream\":true" : "\"stream\":false"),
                  std::string::npos);
        const auto message = [&](const std::string& words, bool last) -> io::Json {
          if (api == LlmApi::kOllamaGenerate) return {{"response", words}, {"done", last}};
          if (api == LlmApi::kOllamaChat) {
            return {{"message", {{"content", words}}}, {"done", last}};
          }
          const io::Json choice = {{stream ? "delta" : "message", {{"content", words}}}};
          return {{"choices", io::Json::array({choice})}};
        };
        if (!stream) {
          send(TestHttpServer::reply("200 OK", message(text, true).dump()));
          return;
        }
        const bool events = api == LlmApi::kOpenAiChat;
        send(TestHttpServer::chunked_head(events ? "text/event-stream" : "application/x-ndjson"));
        const auto line = [&](const std::string& json) {
          send(TestHttpServer::chunk((events ? "data: " : "") + json + (events ? "\n\n" : "\n")));
        };
        line(message(text.substr(0, 10), false).dump());
        line(message(text.substr(10), !events).dump());
        if (events) line("[DONE]");
        send(TestHttpServer::kLastChunk);
      });
      server_.api = api;
      server_.stream = stream;
      out_ = folder_ / ("out" + std::to_string(static_cast<int>(api)) + (stream ? "s" : "w"));
      EXPECT_EQ(run(server).done, 1);
      EXPECT_EQ(this->text("apple"), text + "\n");
    }
  }
}

TEST_F(GenerateRemote, TriesAgainAfterTroubleOfTheServers) {
  items_ = {"apple"};
  TestHttpServer server([](const TestRequest& request, const Send& send) {
    switch (request.number) {
      case 0:
        send(TestHttpServer::reply("500 Internal Server Error", R"({"error":"out of memory"})"));
        return;
      case 1:
        send(TestHttpServer::reply("200 OK", R"({"response": "The ap)"));  // truncated JSON
        return;
      case 2:
        send("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"resp");  // broken off
        return;
      default:
        answer_well(request, send);
    }
  });
  const auto counts = run(server);
  EXPECT_EQ(counts.done, 1);
  EXPECT_EQ(counts.failed, 0);
  EXPECT_EQ(server.seen().size(), 4u);
  EXPECT_TRUE(said("HTTP 500: out of memory")) << notes_;
  EXPECT_TRUE(said("again in")) << notes_;
}

TEST_F(GenerateRemote, WaitsAsLongAsTheServerAsks) {
  items_ = {"apple"};
  options_.max_backoff = 0.15;
  std::vector<std::chrono::steady_clock::time_point> times;
  TestHttpServer server([&](const TestRequest& request, const Send& send) {
    times.push_back(std::chrono::steady_clock::now());
    if (request.number == 0) {
      send(TestHttpServer::reply("429 Too Many Requests", "{}", "application/json",
                                 "Retry-After: 1\r\n"));
    } else {
      answer_well(request, send);
    }
  });
  EXPECT_EQ(run(server).done, 1);
  ASSERT_EQ(times.size(), 2u);
  // A second is asked for, --max-backoff allows 150 ms; without it the wait were 1 ms.
  EXPECT_GE(times[1] - times[0], milliseconds(150));
  EXPECT_TRUE(said("HTTP 429")) << notes_;
}

TEST_F(GenerateRemote, GivesUpAfterItsRetriesAndTheRunGoesOn) {
  TestHttpServer server([](const TestRequest& request, const Send& send) {
    if (item_in(request) == "bear") {
      send(TestHttpServer::reply("503 Service Unavailable", "busy", "text/plain"));
    } else {
      answer_well(request, send);
    }
  });
  auto counts = run(server);
  EXPECT_EQ(counts.done, 3);
  EXPECT_EQ(counts.failed, 1);
  EXPECT_EQ(server.seen().size(), 3u + 1 + 3);
  EXPECT_NE(manifest().find("\"status\":\"failed\",\"reason\":\"HTTP 503: busy\""),
            std::string::npos)
      << manifest();
  // The next run asks for what failed, and for nothing else.
  TestHttpServer well(answer_well);
  counts = run(well);
  EXPECT_EQ(counts.done, 1);
  EXPECT_EQ(counts.earlier, 3);
  EXPECT_EQ(well.seen().size(), 1u);
}

TEST_F(GenerateRemote, AWrongKeyOrModelEndsTheRun) {
  for (const char* status : {"401 Unauthorized", "404 Not Found"}) {
    TestHttpServer server([&](const TestRequest&, const Send& send) {
      send(TestHttpServer::reply(status, R"({"error":"unknown"})"));
    });
    options_.concurrency = 1;
    EXPECT_NE(error_of([&] { run(server); }).find("unknown"), std::string::npos);
    EXPECT_EQ(server.seen().size(), 1u);
  }
}

TEST_F(GenerateRemote, NobodyThereEndsTheRun) {
  std::string endpoint;
  { endpoint = TestHttpServer(answer_well).url(); }
  items_ = {"a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"};
  options_.retries = 1;
  const std::string said = error_of([&] { run(endpoint); });
  EXPECT_NE(said.find("cannot connect"), std::string::npos) << said;
  EXPECT_FALSE(fs::exists(file("a9")));
}

TEST_F(GenerateRemote, SlowAndEndlessAnswersHaveLimits) {
  options_.timeout = 0.1;
  options_.retries = 0;
  server_.stream = true;
  server_.max_tokens = 10;
  TestHttpServer* self = nullptr;
  TestHttpServer server([&](const TestRequest& request, const Send& send) {
    const std::string item = item_in(request);
    if (item == "apple") {  // says nothing
      self->pause(milliseconds(20000));
    } else if (item == "bear") {  // a word now and then, without end
      send(TestHttpServer::chunked_head("application/x-ndjson"));
      const std::string line = "{\"response\":\"a\",\"done\":false}\n";
      while (send(TestHttpServer::chunk(line))) self->pause(milliseconds(5));
    } else if (item == "cloud") {  // a flood
      send(TestHttpServer::chunked_head("application/x-ndjson"));
      const std::string line = "{\"response\":\"" + std::string(9000, 'a') + "\",\"done\":false}\n";
      while (send(TestHttpServer::chunk(line))) {
      }
    } else {  // one line without end
      send(TestHttpServer::chunked_head("application/x-ndjson"));
      while (send(TestHttpServer::chunk(std::string(9000, ' ')))) {
      }
    }
  });
  self = &server;
  const auto counts = run(server);
  EXPECT_EQ(counts.failed, 4) << notes_;
  EXPECT_EQ(counts.done, 0);
  EXPECT_TRUE(said("too long")) << notes_;
}

TEST_F(GenerateRemote, AnAnswerOfAnotherTypeIsNoText) {
  items_ = {"apple"};
  TestHttpServer server([](const TestRequest&, const Send& send) {
    send(TestHttpServer::reply("200 OK", "<html>Please log in</html>", "text/html"));
  });
  EXPECT_EQ(run(server).failed, 1);
  EXPECT_EQ(server.seen().size(), 1u);
  EXPECT_TRUE(said("its type is text/html")) << notes_;
}

TEST_F(GenerateRemote, RejectsWithTheReason) {
  items_ = {"apple", "again", "short", "blocked", "near"};
  options_.concurrency = 1;
  filters_.blocklist = {"poison"};
  TestHttpServer server([](const TestRequest& request, const Send& send) {
    const std::string item = item_in(request);
    const std::string good = "Sure! Here is the text:\n\n**" + text_about("apple") + "**";
    send(ollama_reply(item == "short"     ? "No."
                      : item == "blocked" ? text_about("blocked") + " Poison!"
                      : item == "near"    ? text_about("apple") + " The end."
                                          : good));
  });
  const auto counts = run(server);
  EXPECT_EQ(counts.done, 1);
  EXPECT_EQ(counts.rejected, 4);
  EXPECT_EQ(text("apple"), text_about("apple") + "\n");
  for (const char* reason :
       {"\"again\", story: a copy of another text", "\"short\", story: too short: 3 characters",
        "\"blocked\", story: blocked: poison", "\"near\", story: nearly a copy of another text"}) {
    EXPECT_TRUE(said(reason)) << reason << "\n" << notes_;
  }
  EXPECT_FALSE(fs::exists(file("again")));
  // Rejected texts are not asked for again, and those that stand still count as seen.
  items_.push_back("copy");
  TestHttpServer copies(
      [](const TestRequest&, const Send& send) { send(ollama_reply(text_about("apple"))); });
  const auto next = run(copies);
  EXPECT_EQ(next.earlier, 5);
  EXPECT_EQ(next.rejected, 1);
  EXPECT_EQ(copies.seen().size(), 1u);
}

TEST_F(GenerateRemote, ATextThatWasCutEndsWithItsLastSentence) {
  items_ = {"apple"};
  TestHttpServer server([](const TestRequest&, const Send& send) {
    const io::Json json = {{"response", text_about("apple") + " And then the"},
                           {"done", true},
                           {"done_reason", "length"}};
    send(TestHttpServer::reply("200 OK", json.dump()));
  });
  EXPECT_EQ(run(server).done, 1);
  EXPECT_EQ(text("apple"), text_about("apple") + "\n");
}

TEST_F(GenerateRemote, AStoppedRunGoesOnWhereItWas) {
  options_.concurrency = 1;
  stop_after_ = 2;
  TestHttpServer* self = nullptr;
  TestHttpServer slow([&](const TestRequest& request, const Send& send) {
    if (request.number >= 2) self->pause(milliseconds(20000));  // given up, not waited for
    answer_well(request, send);
  });
  self = &slow;
  const auto stopped = run(slow);
  EXPECT_TRUE(stopped.stopped);
  EXPECT_EQ(stopped.done, 2);
  EXPECT_EQ(stopped.failed, 0);
  // What a killed run leaves: half a line, and a text in the manifest that was never written.
  std::string lines = manifest();
  io::write_file_atomic(out_ / "manifest.jsonl", lines + "{\"list\":\"words\",\"it");
  fs::remove(file("bear"));
  stop_after_ = 0;
  TestHttpServer well(answer_well);
  const auto counts = run(well);
  EXPECT_EQ(counts.earlier, 1);
  EXPECT_EQ(counts.done, 3);
  for (const auto& item : items_) EXPECT_EQ(text(item), text_about(item) + "\n");
  TestHttpServer idle(answer_well);
  EXPECT_EQ(run(idle).earlier, 4);
  EXPECT_EQ(idle.seen().size(), 0u);
}

TEST_F(GenerateRemote, WhatAPersonWroteStays) {
  TestHttpServer server(answer_well);
  run(server);
  io::write_file_atomic(file("apple"), "My own apple.\n");
  fs::create_directories(file("egg").parent_path());
  io::write_file_atomic(file("egg"), "My own egg.\n");
  items_.push_back("egg");
  seed_ = 2;  // other requests: every text is made anew
  TestHttpServer second([](const TestRequest& request, const Send& send) {
    send(ollama_reply(text_about(item_in(request) + "s")));
  });
  const auto counts = run(second);
  EXPECT_EQ(counts.kept, 2);
  EXPECT_EQ(counts.done, 3);
  EXPECT_EQ(text("apple"), "My own apple.\n");
  EXPECT_EQ(text("egg"), "My own egg.\n");
  EXPECT_EQ(text("bear"), text_about("bears") + "\n");
}

TEST_F(GenerateRemote, AFailedRequestMakesNoTextAPersons) {
  TestHttpServer first(answer_well);
  run(first);
  seed_ = 2;
  const auto anew = [](const TestRequest& request, const Send& send) {
    send(ollama_reply(text_about(item_in(request) + "s")));
  };
  TestHttpServer busy([&](const TestRequest& request, const Send& send) {
    if (item_in(request) == "bear") {
      send(TestHttpServer::reply("503 Service Unavailable", "busy", "text/plain"));
    } else {
      anew(request, send);
    }
  });
  EXPECT_EQ(run(busy).failed, 1);
  TestHttpServer well(anew);
  const auto counts = run(well);
  EXPECT_EQ(counts.kept, 0);
  EXPECT_EQ(counts.earlier, 3);
  EXPECT_EQ(counts.done, 1);
  EXPECT_EQ(text("bear"), text_about("bears") + "\n");
}

TEST_F(GenerateRemote, AnotherSystemMessageIsAnotherRequest) {
  TestHttpServer first(answer_well), second([](const TestRequest&request, const Send&send) {
    send(ollama_reply(text_about(item_in(request) + "s")));
  });
  run(first);
  server_.system = "Be brief.";
  EXPECT_EQ(run(second).done, 4);
}

TEST_F(GenerateRemote, ATextFarTooLongIsNotCleaned) {
  items_ = {"apple"};
  filters_.max_chars = 1000;
  TestHttpServer server([](const TestRequest&, const Send& send) {
    send(ollama_reply("<think>" + std::string(9000, 'a') + "</think>" + text_about("apple")));
  });
  EXPECT_EQ(run(server).rejected, 1);
  EXPECT_TRUE(said("too long: 9")) << notes_;
}

TEST_F(GenerateRemote, AFileThatAppearsWhileTheServerWritesStays) {
  items_ = {"apple"};
  TestHttpServer server([&](const TestRequest& request, const Send& send) {
    fs::create_directories(file("apple").parent_path());
    io::write_file_atomic(file("apple"), "Mine.\n");
    answer_well(request, send);
  });
  EXPECT_EQ(run(server).kept, 1);
  EXPECT_EQ(text("apple"), "Mine.\n");
}

TEST_F(GenerateRemote, TheKeyIsSentAndNowhereElse) {
  items_ = {"apple", "bear", "cloud"};
  options_.concurrency = 1;
  TestHttpServer server([](const TestRequest& request, const Send& send) {
    EXPECT_NE(request.head.find(std::string("Authorization: Bearer ") + kKey), std::string::npos);
    const std::string item = item_in(request);
    if (item == "apple") {  // an error that repeats the key
      send(TestHttpServer::reply("400 Bad Request",
                                 std::string(R"({"error":"bad key )") + kKey + "\"}"));
    } else if (item == "bear") {  // so does a text
      send(ollama_reply(text_about("bear") + " " + kKey));
    } else {
      send(TestHttpServer::reply("200 OK", "x", "text/" + std::string(190, 'x') + kKey));
    }
  });
  const auto counts = run(server);
  EXPECT_EQ(counts.done, 0);
  EXPECT_TRUE(said("bad key (key)")) << notes_;
  std::string everything = notes_;
  for (const auto& entry : fs::recursive_directory_iterator(out_)) {
    if (entry.is_regular_file()) everything += io::read_file(entry.path(), 1 << 20);
  }
  EXPECT_EQ(everything.find(kKey), std::string::npos) << everything;
}

TEST_F(GenerateRemote, AKeyThatCleaningPutsTogetherIsSeen) {
  items_ = {"apple"};
  TestHttpServer server([](const TestRequest&, const Send& send) {
    send(ollama_reply(text_about("apple") + " sk-**very**-secret."));
  });
  EXPECT_EQ(run(server).rejected, 1);
  EXPECT_TRUE(said("it holds the key")) << notes_;
}

TEST_F(GenerateRemote, AKeyThatIsInItsOwnMaskIsMaskedOnce) {
  items_ = {"apple"};
  server_.key = "key";
  TestHttpServer server([](const TestRequest&, const Send& send) {
    send(TestHttpServer::reply("400 Bad Request", R"({"error":"your key is bad"})"));
  });
  EXPECT_EQ(run(server).failed, 1);
  EXPECT_TRUE(said("your (key) is bad")) << notes_;
}

TEST_F(GenerateRemote, LimitAndConcurrencyHold) {
  items_.clear();
  for (int i = 0; i < 30; ++i) items_.push_back("item" + std::to_string(i));
  options_.limit = 12;
  options_.concurrency = 3;
  std::atomic<int> now = 0, most = 0;
  TestHttpServer* self = nullptr;
  TestHttpServer server([&](const TestRequest& request, const Send& send) {
    const int current = ++now;
    int seen = most;
    while (seen < current && !most.compare_exchange_weak(seen, current)) {
    }
    self->pause(milliseconds(10));
    --now;
    answer_well(request, send);
  });
  self = &server;
  EXPECT_EQ(run(server).done, 12);
  EXPECT_EQ(server.seen().size(), 12u);
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 2);
  EXPECT_EQ(run(server).earlier, 12);
}

TEST_F(GenerateRemote, RateSpacesRequests) {
  options_.rate = 60 * 50;  // one in 20 ms
  TestHttpServer server(answer_well);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(run(server).done, 4);
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(60));
}

TEST_F(GenerateRemote, OneRunAtATimeInAFolder) {
  items_ = {"apple"};
  std::string said;
  TestHttpServer server([&](const TestRequest& request, const Send& send) {
    said = error_of([&] { GenerateManifest second(out_ / "manifest.jsonl"); });
    answer_well(request, send);
  });
  EXPECT_EQ(run(server).done, 1);
  EXPECT_NE(said.find("another program"), std::string::npos) << said;
}

TEST_F(GenerateRemote, OptionsHaveLimits) {
  options_.concurrency = 65;
  EXPECT_NE(error_of([&] { options_.check(); }), "");
  options_.concurrency = 64;
  EXPECT_EQ(error_of([&] { options_.check(); }), "");
  for (const double rate : {0.001, -1.0, std::nan("")}) {
    options_.rate = rate;
    EXPECT_NE(error_of([&] { options_.check(); }), "") << rate;
  }
}

TEST_F(GenerateRemote, AManifestsLastLineMayLackItsEnd) {
  TestHttpServer server(answer_well);
  run(server);
  std::string lines = manifest();
  lines.pop_back();
  io::write_file_atomic(out_ / "manifest.jsonl", lines);
  EXPECT_EQ(run(server).earlier, 4);
  EXPECT_EQ(manifest(), lines + "\n");
}

TEST_F(GenerateRemote, AFailedWriteLeavesNoHalfLine) {
  const fs::path file = folder_ / "manifest.jsonl";
  ManifestEntry entry{.list = "words", .item = "apple", .name = "story", .status = "failed"};
  {
    GenerateManifest manifest(file);
    manifest.add(entry);
    const std::string whole = io::read_file(file, 1 << 20);
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    const auto ignored = signal(SIGXFSZ, SIG_IGN);
    const rlimit full{.rlim_cur = whole.size() + 10, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &full);
    entry.item = "bear";
    const std::string said = error_of([&] { manifest.add(entry); });
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, ignored);
    EXPECT_NE(said, "");
    EXPECT_EQ(io::read_file(file, 1 << 20), whole);
    entry.item = "cloud";
    manifest.add(entry);
  }
  GenerateManifest manifest(file);
  EXPECT_EQ(manifest.find("words\nbear\nstory"), nullptr);
  EXPECT_NE(manifest.find("words\ncloud\nstory"), nullptr);
}

TEST_F(GenerateRemote, ABrokenManifestIsNamedByItsLine) {
  TestHttpServer server(answer_well);
  run(server);
  io::write_file_atomic(out_ / "manifest.jsonl", manifest() + "{\"list\":3}\n");
  const std::string said = error_of([&] { run(server); });
  EXPECT_NE(said.find("manifest.jsonl:5"), std::string::npos) << said;
}

}  // namespace
}  // namespace adder::data
