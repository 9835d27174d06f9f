// One HTTP/1.1 exchange with a server that is not trusted: every size and the whole time have a
// limit, and another thread can end it. Redirections are not followed, proxies not asked, nothing
// is compressed and no connection is kept. RFC 9110 and 9112; https with TLS 1.2 or later, the
// server's certificate checked against the system's store (SSL_CERT_FILE names another).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace adder::io {

/// "http://127.0.0.1:11434/api/chat" taken apart.
struct HttpUrl {
  bool secure = false;  // https
  std::string host;     // an IPv6 address without its brackets
  std::string port;     // "80", "443" or as written
  std::string target;   // path and query, "/" at least

  /// What the Host field says: the port only where it is not the scheme's own.
  std::string authority() const;
};

/// Throws kUsage for anything but http:// and https:// with a host; a user name or password in the
/// address is refused too, for it would end up in logs.
HttpUrl parse_http_url(std::string_view text);

struct HttpRequest {
  std::string method = "POST";
  HttpUrl url;
  std::vector<std::pair<std::string, std::string>> fields;  // besides Host and Content-Length
  std::string body;
};

struct HttpLimits {
  std::chrono::milliseconds total{120'000};  // from the look-up of the name to the last byte
  int64_t header_bytes = 64 << 10;
  int64_t body_bytes = 16 << 20;
};

struct HttpResponse {
  int status = 0;
  std::string content_type;  // as sent, perhaps empty
  std::string retry_after;   // as sent, perhaps empty
  std::string body;          // empty where a reader took it
};

/// Takes the body as it comes, after the header has arrived in `response`. False ends the exchange
/// at once: enough was read.
using HttpReader = std::function<bool(const HttpResponse& response, std::string_view piece)>;

/// Any status is an answer. Throws kIo: no connection, no answer about the host's name, a
/// connection that broke off, out of time, stopped; kNotFound: no such host; kFormat: not HTTP, or
/// larger than the limits; kUnsupported: a certificate that cannot be trusted. Blocks; only the
/// look-up of a host's name can outlast `limits.total` and `stop`, by what the system's resolver
/// takes.
HttpResponse http_exchange(const HttpRequest& request, const HttpLimits& limits = {},
                           const HttpReader& reader = {}, std::stop_token stop = {});

}  // namespace adder::io
