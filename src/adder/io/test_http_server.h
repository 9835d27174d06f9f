// A server for tests of what speaks HTTP: it hands each request to a function that writes the
// bytes of the answer itself, so that broken answers are as easy as good ones. One thread for each
// connection, one request on each; plain sockets, on a port of 127.0.0.1 that the system chooses.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace adder::io {

struct TestRequest {
  std::string head;  // the request line and the fields
  std::string body;
  int number = 0;  // the first is 0

  std::string target() const {
    const size_t begin = head.find(' ') + 1;
    return head.substr(begin, head.find(' ', begin) - begin);
  }
};

class TestHttpServer {
 public:
  /// Writes bytes to the client; false when the client has gone or the server is ending.
  using Send = std::function<bool(std::string_view)>;
  using Answer = std::function<void(const TestRequest&, const Send&)>;

  explicit TestHttpServer(Answer answer) : answer_(std::move(answer)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(listener_, 64) != 0) {
      throw std::runtime_error("no socket for the test server");
    }
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~TestHttpServer() {
    ending_ = true;
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (auto& thread : connections_) thread.join();
    close(listener_);
  }
  TestHttpServer(const TestHttpServer&) = delete;
  TestHttpServer& operator=(const TestHttpServer&) = delete;

  int port() const { return port_; }
  std::string url(const std::string& target = "") const {
    return "http://127.0.0.1:" + std::to_string(port_) + target;
  }
  /// The requests so far.
  std::vector<TestRequest> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  /// Sleeps, but not beyond the server's end.
  void pause(std::chrono::milliseconds time) const {
    const auto end = std::chrono::steady_clock::now() + time;
    while (!ending_ && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  /// A whole answer.
  static std::string reply(const std::string& status, const std::string& body,
                           const std::string& type = "application/json",
                           const std::string& more_fields = "") {
    return "HTTP/1.1 " + status + "\r\nContent-Type: " + type +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + more_fields + "\r\n" +
           body;
  }
  /// The beginning of an answer in chunks, one of them, and the end.
  static std::string chunked_head(const std::string& type) {
    return "HTTP/1.1 200 OK\r\nContent-Type: " + type + "\r\nTransfer-Encoding: chunked\r\n\r\n";
  }
  static std::string chunk(std::string_view bytes) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    return size + std::string(bytes) + "\r\n";
  }
  static constexpr std::string_view kLastChunk = "0\r\n\r\n";

 private:
  void accept_all() {
    while (!ending_) {
      const int peer = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) return;
      connections_.emplace_back([this, peer] { serve(peer); });
    }
  }
  void serve(int peer) {
    TestRequest request;
    if (read_request(peer, request)) {
      {
        const std::lock_guard lock(mutex_);
        request.number = static_cast<int>(seen_.size());
        seen_.push_back(request);
      }
      answer_(request, [&](std::string_view bytes) {
        while (!bytes.empty()) {
          const auto sent = send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL);
          if (sent <= 0 || ending_) return false;
          bytes.remove_prefix(static_cast<size_t>(sent));
        }
        return true;
      });
    }
    shutdown(peer, SHUT_RDWR);
    close(peer);
  }
  static bool read_request(int peer, TestRequest& request) {
    std::string bytes;
    char room[4096];
    for (size_t need = 0;;) {
      const size_t end = bytes.find("\r\n\r\n");
      if (end != std::string::npos) {
        request.head = bytes.substr(0, end);
        const size_t field = request.head.find("Content-Length: ");
        need = field == std::string::npos ? 0 : std::stoul(request.head.substr(field + 16));
        request.body = bytes.substr(end + 4);
        if (request.body.size() >= need) return true;
      }
      const auto got = recv(peer, room, sizeof room, 0);
      if (got <= 0) return false;
      bytes.append(room, static_cast<size_t>(got));
    }
  }

  Answer answer_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> ending_ = false;
  mutable std::mutex mutex_;
  std::vector<TestRequest> seen_;
  std::vector<std::thread> connections_;  // of the acceptor alone until it has ended
  std::thread acceptor_;
};

}  // namespace adder::io
