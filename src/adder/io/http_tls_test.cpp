// The encrypted half of the HTTP client, against a server with a certificate of its own making.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <thread>

#include "adder/base/error.h"
#include "adder/io/http_client.h"

namespace adder::io {
namespace {

struct Freed {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* connection) const { SSL_free(connection); }
};
template <typename T>
using Owned = std::unique_ptr<T, Freed>;

/// A certificate that signs itself, good for `name` ("IP:127.0.0.1"), until `seconds` from now.
Owned<X509> make_certificate(EVP_PKEY* key, const char* name, long seconds) {
  Owned<X509> made(X509_new());
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -7200);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), seconds);
  X509_set_pubkey(made.get(), key);
  X509_NAME* subject = X509_get_subject_name(made.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(made.get(), subject);
  for (const auto& [kind, value] : {std::pair<int, const char*>{NID_subject_alt_name, name},
                                    {NID_basic_constraints, "critical,CA:TRUE"}}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
    X509_add_ext(made.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(made.get(), key, EVP_sha256());
  return made;
}

/// Answers one connection with "secret", on a thread of its own.
class TlsServer {
 public:
  explicit TlsServer(const char* name, long seconds = 3600) : key_(EVP_EC_gen("P-256")) {
    certificate_ = make_certificate(key_.get(), name, seconds);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    listen(listener_, 4);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~TlsServer() {
    shutdown(listener_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    close(listener_);
  }
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  /// Writes the certificate to a file and makes it the store that is trusted.
  void trust() const {
    const auto file = std::filesystem::path(testing::TempDir()) / "adder_tls_test.pem";
    std::FILE* out = std::fopen(file.c_str(), "w");
    PEM_write_X509(out, certificate_.get());
    std::fclose(out);
    setenv("SSL_CERT_FILE", file.c_str(), 1);
  }
  HttpRequest request() const {
    return {.method = "GET",
            .url = parse_http_url("https://127.0.0.1:" + std::to_string(port_) + "/")};
  }
  /// Waits for the connection to end.
  std::string seen() {
    thread_.join();
    return seen_;
  }

 private:
  void serve() {
    const int peer = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (peer < 0) return;
    Owned<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_use_certificate(context.get(), certificate_.get());
    SSL_CTX_use_PrivateKey(context.get(), key_.get());
    Owned<SSL> connection(SSL_new(context.get()));
    SSL_set_fd(connection.get(), peer);
    if (SSL_accept(connection.get()) == 1) {
      char room[4096];
      const int got = SSL_read(connection.get(), room, sizeof room);
      if (got > 0) seen_.assign(room, static_cast<size_t>(got));
      const std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";
      SSL_write(connection.get(), answer.data(), static_cast<int>(answer.size()));
      SSL_shutdown(connection.get());
    }
    close(peer);
  }

  Owned<EVP_PKEY> key_;
  Owned<X509> certificate_;
  int listener_ = -1;
  int port_ = 0;
  std::string seen_;
  std::thread thread_;
};

class HttpTls : public testing::Test {
 protected:
  ~HttpTls() override { unsetenv("SSL_CERT_FILE"); }

  static void expect_distrust(const TlsServer& server, const char* reason) {
    try {
      http_exchange(server.request());
      FAIL() << "trusted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUnsupported) << error.what();
      EXPECT_NE(error.text().why.find(reason), std::string::npos) << error.what();
    }
  }
};

TEST_F(HttpTls, SpeaksToAServerThatItTrusts) {
  const TlsServer server("IP:127.0.0.1");
  server.trust();
  EXPECT_EQ(http_exchange(server.request()).body, "secret");
}

TEST_F(HttpTls, RefusesAnUnknownIssuer) {
  TlsServer server("IP:127.0.0.1");
  expect_distrust(server, "self");
  EXPECT_EQ(server.seen(), "");  // nothing was said before the certificate was looked at
}

TEST_F(HttpTls, RefusesACertificateOfAnotherHost) {
  const TlsServer server("DNS:example.org");
  server.trust();
  expect_distrust(server, "IP address mismatch");
}

TEST_F(HttpTls, RefusesAnExpiredCertificate) {
  const TlsServer server("IP:127.0.0.1", -3600);
  server.trust();
  expect_distrust(server, "expired");
}

}  // namespace
}  // namespace adder::io
