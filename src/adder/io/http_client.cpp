// The one source that sees Boost.Beast and OpenSSL: the templates of both are slow to compile.
#include "adder/io/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "adder/base/error.h"

namespace adder::io {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Failure = boost::system::error_code;
using TlsStream = asio::ssl::stream<tcp::socket&>;
using Clock = std::chrono::steady_clock;

std::string place_of(const HttpUrl& url) {
  return (url.secure ? "https://" : "http://") + url.authority();
}

/// Runs one asynchronous step after another, each until it is done, out of time or stopped.
class Steps {
 public:
  Steps(const HttpUrl& url, const HttpLimits& limits, std::stop_token stop)
      : url_(url),
        limits_(limits),
        deadline_(Clock::now() + limits.total),
        stop_(std::move(stop)),
        wake_(stop_, [this] { asio::post(io_, [] {}); }) {}

  asio::io_context& io() { return io_; }

  /// `start` begins the step and hands its end to the handler it is given; `cancel` makes it end
  /// at once. The step's own error, which is none when all is well.
  template <typename Start, typename Cancel>
  Failure run(const Start& start, const Cancel& cancel) {
    std::optional<Failure> result;
    io_.restart();
    start([&result](Failure failure, auto&&...) { result = failure; });
    while (!result) {
      const bool late = Clock::now() >= deadline_;
      if (late || stop_.stop_requested()) {
        cancel();
        while (!result && io_.run_one() > 0) {
        }
        throw_cut(late);
      }
      io_.run_one_until(deadline_);
    }
    return *result;
  }

 private:
  [[noreturn]] void throw_cut(bool late) const {
    throw Error(ErrorKind::kIo,
                {.what = late ? "the server took too long" : "the request was stopped",
                 .where = place_of(url_),
                 .why = late ? fmt::format("no complete answer within {:g} s",
                                           static_cast<double>(limits_.total.count()) / 1000)
                             : ""});
  }

  const HttpUrl& url_;
  const HttpLimits& limits_;
  Clock::time_point deadline_;
  std::stop_token stop_;
  asio::io_context io_{1};
  std::stop_callback<std::function<void()>> wake_;
};

[[noreturn]] void fail(const HttpUrl& url, const char* what, const Failure& failure) {
  const bool format = failure.category() == http::make_error_code(http::error{}).category() &&
                      failure != http::error::end_of_stream &&
                      failure != http::error::partial_message;
  throw Error(format ? ErrorKind::kFormat : ErrorKind::kIo,
              {.what = what, .where = place_of(url), .why = failure.message()});
}

tcp::resolver::results_type resolve(Steps& steps, const HttpUrl& url) {
  tcp::resolver resolver(steps.io());
  tcp::resolver::results_type found;
  const Failure failure = steps.run(
      [&](auto done) {
        resolver.async_resolve(url.host, url.port, [&found, done](Failure error, auto results) {
          found = std::move(results);
          done(error);
        });
      },
      [&] { resolver.cancel(); });
  const bool unknown = failure == asio::error::host_not_found || failure == asio::error::no_data ||
                       failure == asio::error::service_not_found;
  if (failure) {
    throw Error(unknown ? ErrorKind::kNotFound : ErrorKind::kIo,
                {.what = unknown ? "no such host" : "the host's name could not be looked up",
                 .where = place_of(url),
                 .why = failure.message(),
                 .next = "check the address and the network"});
  }
  return found;
}

tcp::socket connect(Steps& steps, const HttpUrl& url) {
  const auto addresses = resolve(steps, url);
  tcp::socket socket(steps.io());
  const Failure failure =
      steps.run([&](auto done) { asio::async_connect(socket, addresses, done); },
                [&] {
                  Failure ignored;
                  socket.close(ignored);
                });
  if (failure) {
    throw Error(ErrorKind::kIo, {.what = "cannot connect",
                                 .where = place_of(url),
                                 .why = failure.message(),
                                 .next = "is the server running there?"});
  }
  return socket;
}

/// The system's certificates: what the environment names, the bundle of this distribution, or where
/// OpenSSL was built to look.
void load_system_store(asio::ssl::context& tls) {
  Failure ignored;
  const bool named =
      std::getenv("SSL_CERT_FILE") != nullptr || std::getenv("SSL_CERT_DIR") != nullptr;
  for (const char* bundle :
       {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}) {
    if (named || !std::filesystem::exists(bundle)) continue;
    tls.load_verify_file(bundle, ignored);
    return;
  }
  tls.set_default_verify_paths(ignored);
}

bool is_address(const std::string& host) {
  Failure failure;
  asio::ip::make_address(host, failure);
  return !failure;
}

void shake_hands(Steps& steps, const HttpUrl& url, TlsStream& stream) {
  stream.set_verify_mode(asio::ssl::verify_peer);
  SSL* connection = stream.native_handle();
  // Where this name is not taken, any certificate of a known issuer would do.
  bool taken = false;
  if (is_address(url.host)) {
    taken = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), url.host.c_str()) == 1;
  } else {
    SSL_set_hostflags(connection, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    taken = SSL_set_tlsext_host_name(connection, url.host.c_str()) == 1 &&
            SSL_set1_host(connection, url.host.c_str()) == 1;
  }
  if (!taken) {
    throw Error(ErrorKind::kUnsupported,
                {.what = "no certificate can be checked for this host", .where = place_of(url)});
  }
  const Failure failure =
      steps.run([&](auto done) { stream.async_handshake(TlsStream::client, done); },
                [&] {
                  Failure ignored;
                  stream.next_layer().close(ignored);
                });
  if (!failure) return;
  const long verdict = SSL_get_verify_result(connection);
  if (verdict == X509_V_OK) fail(url, "the encrypted connection failed", failure);
  throw Error(ErrorKind::kUnsupported,
              {.what = "the server's certificate cannot be trusted",
               .where = place_of(url),
               .why = X509_verify_cert_error_string(verdict),
               .next = "SSL_CERT_FILE=FILE names a store that holds its issuer"});
}

http::request<http::string_body> wire_form(const HttpRequest& request) {
  http::request<http::string_body> wire(http::string_to_verb(request.method), request.url.target,
                                        11);
  wire.set(http::field::host, request.url.authority());
  wire.set(http::field::connection, "close");
  wire.set(http::field::user_agent, "adder");
  for (const auto& [name, value] : request.fields) {
    const auto control = [](unsigned char c) { return c < ' ' || c == 0x7F; };
    if (std::ranges::any_of(value, control)) {  // would begin a field, or a request, of its own
      throw Error(ErrorKind::kUsage,
                  {.what = "a line break or control character in what goes into a request",
                   .where = "field " + name});
    }
    wire.set(name, value);
  }
  wire.body() = request.body;
  wire.prepare_payload();
  return wire;
}

std::string field_of(const http::response<http::buffer_body>& message, http::field name) {
  const auto value = message[name];
  return std::string(value.data(), value.size());
}

/// Sends `request` over `stream` and reads the answer.
template <typename Stream>
HttpResponse talk(Steps& steps, Stream& stream, tcp::socket& socket, const HttpRequest& request,
                  const HttpLimits& limits, const HttpReader& reader) {
  const auto close = [&] {
    Failure ignored;
    socket.close(ignored);
  };
  const auto wire = wire_form(request);
  http::request_serializer<http::string_body> serializer(wire);
  if (const Failure failure =
          steps.run([&](auto done) { http::async_write(stream, serializer, done); }, close)) {
    fail(request.url, "the request could not be sent", failure);
  }
  boost::beast::flat_buffer buffer(static_cast<size_t>(limits.header_bytes) + (64 << 10));
  http::response_parser<http::buffer_body> parser;
  parser.header_limit(static_cast<uint32_t>(limits.header_bytes));
  parser.body_limit(static_cast<uint64_t>(limits.body_bytes));
  if (const Failure failure = steps.run(
          [&](auto done) { http::async_read_header(stream, buffer, parser, done); }, close)) {
    fail(request.url, "the server's answer cannot be read", failure);
  }
  HttpResponse response;
  response.status = static_cast<int>(parser.get().result_int());
  response.content_type = field_of(parser.get(), http::field::content_type);
  response.retry_after = field_of(parser.get(), http::field::retry_after);
  std::array<char, 16 << 10> room{};
  while (!parser.is_done()) {
    parser.get().body().data = room.data();
    parser.get().body().size = room.size();
    const Failure failure =
        steps.run([&](auto done) { http::async_read_some(stream, buffer, parser, done); }, close);
    if (failure && failure != http::error::need_buffer) {
      fail(request.url, "the server's answer broke off", failure);
    }
    const std::string_view piece(room.data(), room.size() - parser.get().body().size);
    if (!reader) {
      response.body += piece;
    } else if (!piece.empty() && !reader(response, piece)) {
      break;
    }
  }
  return response;
}

HttpResponse exchange(const HttpRequest& request, const HttpLimits& limits,
                      const HttpReader& reader, std::stop_token stop) {
  Steps steps(request.url, limits, std::move(stop));
  tcp::socket socket = connect(steps, request.url);
  if (!request.url.secure) return talk(steps, socket, socket, request, limits, reader);
  asio::ssl::context tls(asio::ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(tls.native_handle(), TLS1_2_VERSION);
  load_system_store(tls);
  TlsStream stream(socket, tls);
  shake_hands(steps, request.url, stream);
  return talk(steps, stream, socket, request, limits, reader);
}

}  // namespace

HttpResponse http_exchange(const HttpRequest& request, const HttpLimits& limits,
                           const HttpReader& reader, std::stop_token stop) {
  try {
    return exchange(request, limits, reader, std::move(stop));
  } catch (const boost::system::system_error& error) {  // no descriptor is left, say
    throw Error(ErrorKind::kIo, {.what = "the operating system refused a connection",
                                 .where = place_of(request.url),
                                 .why = error.code().message()});
  }
}

}  // namespace adder::io
