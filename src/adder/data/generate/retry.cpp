#include "adder/data/generate/retry.h"

#include <algorithm>
#include <ctime>
#include <string>

namespace adder::data {

Milliseconds backoff(int attempt, Milliseconds base, Milliseconds longest, Rng& rng) {
  double wait = static_cast<double>(base.count());
  const auto most = static_cast<double>(longest.count());
  for (int i = 0; i < attempt && wait < most; ++i) wait *= 2;
  return Milliseconds(static_cast<int64_t>(std::min(wait, most) * rng.uniform(0.5, 1.0)));
}

std::optional<Milliseconds> retry_after(std::string_view field,
                                        std::chrono::system_clock::time_point now) {
  constexpr int64_t kLongest = 999'999'999;  // seconds
  if (field.empty() || field.size() > 40) return std::nullopt;
  const std::string text(field);
  if (std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; })) {
    if (text.size() > 9) return std::nullopt;
    return std::chrono::seconds(std::stol(text));
  }
  std::tm date{};
  const char* end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (end == nullptr || *end != 0) return std::nullopt;
  // In whole seconds: the clock's own unit overflows long before the year 9999.
  const int64_t then = timegm(&date);
  const int64_t seconds = then - std::chrono::system_clock::to_time_t(now);
  return std::chrono::seconds(std::clamp(seconds, int64_t{0}, kLongest));
}

bool worth_retrying(int http_status) {
  return http_status == 408 || http_status == 429 || http_status == 500 || http_status == 502 ||
         http_status == 503 || http_status == 504;
}

}  // namespace adder::data
