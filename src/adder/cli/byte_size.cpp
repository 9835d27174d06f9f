#include "adder/cli/byte_size.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "adder/base/error.h"

namespace adder::cli {
namespace {

/// What one of `unit` ("", "b", "kb", "k", "kib", ...) holds, in bytes; 0 for none.
double unit_size(std::string unit) {
  if (unit.ends_with('b')) unit.pop_back();
  const bool binary = unit.ends_with('i');
  if (binary) unit.pop_back();
  if (unit.empty()) return binary ? 0 : 1;
  const size_t power = std::string("kmgt").find(unit);
  if (power == std::string::npos || unit.size() != 1) return 0;
  return std::pow(binary ? 1024.0 : 1000.0, static_cast<double>(power) + 1);
}

}  // namespace

int64_t parse_byte_size(const std::string& text, const std::string& where) {
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorKind::kUsage, {.what = "\"" + text + "\" is no size of memory",
                                    .where = where,
                                    .why = why,
                                    .next = "give a number and a unit: 3GB, 800MB, 1.5GiB"});
  };
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(number)) refuse("it begins with no number");
  std::string unit(end, text.data() + text.size() - end);
  unit.erase(0, std::min(unit.find_first_not_of(' '), unit.size()));
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const double size = unit_size(unit);
  if (size == 0) refuse("the unit is unknown");
  const double bytes = number * size;
  if (!(bytes >= 1 && bytes <= 0x1p62)) refuse("it must be at least one byte and at most 4 EiB");
  return static_cast<int64_t>(bytes);
}

}  // namespace adder::cli
