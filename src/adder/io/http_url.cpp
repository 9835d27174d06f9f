#include <algorithm>
#include <cctype>

#include "adder/base/error.h"
#include "adder/io/http_client.h"

namespace adder::io {
namespace {

constexpr size_t kMaxBytes = 4000;

[[noreturn]] void refuse(const std::string& why) {
  // The address itself is not repeated: it may hold a password.
  throw Error(ErrorKind::kUsage, {.what = "this is no address of a server",
                                  .why = why,
                                  .next = "write it as http://127.0.0.1:11434"});
}

bool is_port(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.empty() || text.size() > 5 || !std::all_of(text.begin(), text.end(), digit))
    return false;
  const int port = std::stoi(std::string(text));
  return port >= 1 && port <= 65535;
}

}  // namespace

std::string HttpUrl::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == (secure ? "443" : "80") ? name : name + ":" + port;
}

HttpUrl parse_http_url(std::string_view text) {
  HttpUrl url;
  if (text.size() > kMaxBytes) refuse("it is longer than 4000 bytes");
  if (std::ranges::any_of(text, [](unsigned char c) { return c <= ' ' || c >= 0x7F; })) {
    refuse("it holds spaces, control characters or letters beyond ASCII");
  }
  if (text.starts_with("https://")) {
    url.secure = true;
  } else if (!text.starts_with("http://")) {
    refuse("it begins with neither http:// nor https://");
  }
  text.remove_prefix(url.secure ? 8 : 7);
  const size_t slash = std::min(text.find_first_of("/?#"), text.size());
  std::string_view name = text.substr(0, slash);
  url.target = text.substr(slash, text.find('#') - slash);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  if (name.find('@') != std::string_view::npos) refuse("it holds a user name or password");
  const size_t bracket = name.find(']');
  const bool six = name.starts_with('[') && bracket != std::string_view::npos;
  const size_t colon = six ? bracket + 1 : std::min(name.find(':'), name.size());
  url.host = six ? name.substr(1, bracket - 1) : name.substr(0, colon);
  name.remove_prefix(colon);
  url.port = url.secure ? "443" : "80";
  if (!name.empty()) {
    if (name.front() != ':' || !is_port(name.substr(1)))
      refuse("its port is no number up to 65535");
    url.port = name.substr(1);
  }
  if (url.host.empty()) refuse("it names no host");
  // Neither an escaped name nor an address with a zone is what a certificate is checked for.
  if (url.host.find('%') != std::string::npos) refuse("its host holds a \"%\"");
  return url;
}

}  // namespace adder::io
