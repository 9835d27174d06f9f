#include "adder/io/http_client.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "adder/base/error.h"
#include "adder/io/test_http_server.h"

namespace adder::io {
namespace {

using Send = TestHttpServer::Send;
using std::chrono::milliseconds;

HttpRequest post(const TestHttpServer& server, std::string body = "hello") {
  return {.url = parse_http_url(server.url("/path?q=1")), .body = std::move(body)};
}

ErrorKind kind_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::kInternal;
}

TEST(HttpUrl, IsTakenApart) {
  const auto plain = parse_http_url("http://127.0.0.1:11434/api/chat?a=b#top");
  EXPECT_FALSE(plain.secure);
  EXPECT_EQ(plain.host, "127.0.0.1");
  EXPECT_EQ(plain.port, "11434");
  EXPECT_EQ(plain.target, "/api/chat?a=b");
  EXPECT_EQ(plain.authority(), "127.0.0.1:11434");
  const auto secure = parse_http_url("https://example.org");
  EXPECT_TRUE(secure.secure);
  EXPECT_EQ(secure.port, "443");
  EXPECT_EQ(secure.target, "/");
  EXPECT_EQ(secure.authority(), "example.org");
  const auto six = parse_http_url("http://[::1]:8080");
  EXPECT_EQ(six.host, "::1");
  EXPECT_EQ(six.authority(), "[::1]:8080");
}

TEST(HttpUrl, RefusesWhatIsNone) {
  for (const char* text :
       {"", "localhost:11434", "ftp://x/", "http://", "http://:80", "http://a:0", "http://a:99999",
        "http://a:b", "http://a%2eb/", "http://[fe80::1%25eth0]/", "http://a b/",
        "http://a/\r\nX: y", "http://user:secret@host/"}) {
    EXPECT_EQ(kind_of([&] { parse_http_url(text); }), ErrorKind::kUsage) << text;
  }
  try {
    parse_http_url("http://user:secret@host/");
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos);
  }
}

TEST(HttpClient, SendsTheRequestAndReadsTheAnswer) {
  TestHttpServer server([](const TestRequest& request, const Send& send) {
    send(TestHttpServer::reply("404 Not Found", "<" + request.body + ">", "text/plain",
                               "Retry-After: 7\r\n"));
  });
  auto request = post(server);
  request.fields = {{"Content-Type", "application/json"}, {"Authorization", "Bearer k"}};
  const auto response = http_exchange(request);
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.body, "<hello>");
  EXPECT_EQ(response.content_type, "text/plain");
  EXPECT_EQ(response.retry_after, "7");
  const auto seen = server.seen().at(0);
  EXPECT_TRUE(seen.head.starts_with("POST /path?q=1 HTTP/1.1\r\n")) << seen.head;
  EXPECT_NE(seen.head.find("Host: 127.0.0.1:" + std::to_string(server.port())), std::string::npos);
  EXPECT_NE(seen.head.find("Content-Length: 5"), std::string::npos);
  EXPECT_NE(seen.head.find("Authorization: Bearer k"), std::string::npos);
}

TEST(HttpClient, GivesTheBodyAsItComes) {
  TestHttpServer server([&](const TestRequest&, const Send& send) {
    send(TestHttpServer::chunked_head("application/x-ndjson"));
    for (const char* piece : {"one ", "two ", "three"}) send(TestHttpServer::chunk(piece));
    send(TestHttpServer::kLastChunk);
  });
  std::string text;
  const auto response = http_exchange(post(server), {}, [&](const auto& head, auto piece) {
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.content_type, "application/x-ndjson");
    text += piece;
    return true;
  });
  EXPECT_EQ(text, "one two three");
  EXPECT_EQ(response.body, "");
  // A reader that has enough ends an answer that never would.
  TestHttpServer endless([&](const TestRequest&, const Send& send) {
    send(TestHttpServer::chunked_head("text/plain"));
    while (send(TestHttpServer::chunk("again "))) {
    }
  });
  int pieces = 0;
  http_exchange(post(endless), {}, [&](const auto&, auto) { return ++pieces < 3; });
  EXPECT_EQ(pieces, 3);
}

TEST(HttpClient, AnswersWithoutALengthEndWithTheConnection) {
  TestHttpServer server([](const TestRequest&, const Send& send) {
    send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it");
  });
  EXPECT_EQ(http_exchange(post(server)).body, "all of it");
}

TEST(HttpClient, AnAnswerThatBreaksOffIsAnError) {
  for (const char* answer :
       {"", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"}) {
    TestHttpServer server([&](const TestRequest&, const Send& send) { send(answer); });
    EXPECT_EQ(kind_of([&] { http_exchange(post(server)); }), ErrorKind::kIo) << answer;
  }
}

TEST(HttpClient, WhatIsNotHttpIsRefused) {
  for (const char* answer : {"SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 abc\r\n\r\n",
                             "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    TestHttpServer server([&](const TestRequest&, const Send& send) { send(answer); });
    EXPECT_EQ(kind_of([&] { http_exchange(post(server)); }), ErrorKind::kFormat) << answer;
  }
}

TEST(HttpClient, SizesHaveLimits) {
  const HttpLimits limits{.header_bytes = 4000, .body_bytes = 20000};
  TestHttpServer long_header([](const TestRequest&, const Send& send) {
    send("HTTP/1.1 200 OK\r\n");
    while (send("X-More: of the same\r\n")) {
    }
  });
  EXPECT_EQ(kind_of([&] { http_exchange(post(long_header), limits); }), ErrorKind::kFormat);
  TestHttpServer announced([](const TestRequest&, const Send& send) {
    send("HTTP/1.1 200 OK\r\nContent-Length: 20001\r\n\r\n");
  });
  EXPECT_EQ(kind_of([&] { http_exchange(post(announced), limits); }), ErrorKind::kFormat);
  for (const bool chunked : {false, true}) {
    TestHttpServer endless([&](const TestRequest&, const Send& send) {
      send(chunked ? TestHttpServer::chunked_head("text/plain") : "HTTP/1.1 200 OK\r\n\r\n");
      const std::string block(1000, 'x');
      while (send(chunked ? TestHttpServer::chunk(block) : block)) {
      }
    });
    int64_t taken = 0;
    EXPECT_EQ(kind_of([&] {
                http_exchange(post(endless), limits, [&](const auto&, auto piece) {
                  taken += static_cast<int64_t>(piece.size());
                  return true;
                });
              }),
              ErrorKind::kFormat);
    EXPECT_LE(taken, limits.body_bytes);
  }
}

TEST(HttpClient, TimeHasALimit) {
  const HttpLimits limits{.total = milliseconds(60)};
  TestHttpServer* self = nullptr;
  TestHttpServer silent([&](const TestRequest&, const Send&) { self->pause(milliseconds(20000)); });
  self = &silent;
  EXPECT_EQ(kind_of([&] { http_exchange(post(silent), limits); }), ErrorKind::kIo);
  TestHttpServer* other = nullptr;
  TestHttpServer dripping([&](const TestRequest&, const Send& send) {
    send(TestHttpServer::chunked_head("text/plain"));
    while (send(TestHttpServer::chunk("."))) other->pause(milliseconds(5));
  });
  other = &dripping;
  EXPECT_EQ(kind_of([&] { http_exchange(post(dripping), limits); }), ErrorKind::kIo);
}

TEST(HttpClient, AnotherThreadCanEndIt) {
  TestHttpServer* self = nullptr;
  std::stop_source source;
  TestHttpServer server([&](const TestRequest&, const Send&) {
    source.request_stop();  // the request has arrived and is never answered
    self->pause(milliseconds(20000));
  });
  self = &server;
  EXPECT_EQ(kind_of([&] { http_exchange(post(server), {}, {}, source.get_token()); }),
            ErrorKind::kIo);
  EXPECT_EQ(kind_of([&] { http_exchange(post(server), {}, {}, source.get_token()); }),
            ErrorKind::kIo);  // stopped before it began
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST(HttpClient, NobodyThereIsSaid) {
  int port = 0;
  {
    port = TestHttpServer([](const TestRequest&, const Send&) {}).port();
  }
  const HttpRequest request{.url = parse_http_url("http://127.0.0.1:" + std::to_string(port))};
  try {
    http_exchange(request);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_EQ(error.text().what, "cannot connect");
    EXPECT_NE(error.text().where.find(std::to_string(port)), std::string::npos);
  }
}

TEST(HttpClient, ALackOfDescriptorsIsSaid) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizers' own checks need descriptors";
#endif
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  ErrorKind kind = ErrorKind::kInternal;
  try {
    http_exchange({.url = parse_http_url("http://127.0.0.1:9")});
  } catch (const Error& error) {
    kind = error.kind();
  }
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(kind, ErrorKind::kIo);
}

TEST(HttpClient, AFieldCannotSmuggleInAnother) {
  TestHttpServer server(
      [](const TestRequest&, const Send& send) { send("HTTP/1.1 200 OK\r\n\r\n"); });
  auto request = post(server);
  request.fields = {{"Authorization", "Bearer k\r\nX-Evil: 1"}};
  EXPECT_EQ(kind_of([&] { http_exchange(request); }), ErrorKind::kUsage);
}

}  // namespace
}  // namespace adder::io
