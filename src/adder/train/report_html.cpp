#include "adder/train/report_html.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <utility>

namespace adder::train {
namespace {

constexpr const char* kMissing = "–";

/// "12480" -> "12,480"
std::string with_commas(int64_t value) {
  std::string digits = std::to_string(std::llabs(value));
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<size_t>(at), ",");
  }
  return (value < 0 ? "-" : "") + digits;
}

std::string scaled(double value, const char* gap) {
  constexpr std::pair<double, const char*> kScales[] = {
      {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
  for (const auto& [scale, letter] : kScales) {
    // What would be rounded up to 1000 of the smaller unit is written in the larger one.
    if (std::abs(value) >= scale * 0.9995)
      return fmt::format("{:.3g}{}{}", value / scale, gap, letter);
  }
  return fmt::format("{:.3g}{}", value, gap);
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f) {
          out += "\xef\xbf\xbd";
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string format_number(double value) {
  if (!std::isfinite(value)) return kMissing;
  if (std::abs(value) >= 1000 && std::abs(value) < 1e15) return with_commas(std::llround(value));
  if (value != 0 && std::abs(value) < 1e-3) return fmt::format("{:.3g}", value);
  return fmt::format("{:.4g}", value);
}

std::string format_short(double value) {
  return std::isfinite(value) ? scaled(value, "") : kMissing;
}

std::string format_bytes(double bytes) {
  return std::isfinite(bytes) ? scaled(bytes, " ") + "B" : kMissing;
}

}  // namespace adder::train
