#include "adder/infer/stop_filter.h"

#include <algorithm>
#include <utility>

namespace adder::infer {
namespace {

/// Bytes at the end of `text` that may be the beginning of `stop`, but not all of it.
std::size_t open_tail(std::string_view text, std::string_view stop) {
  for (std::size_t size = std::min(text.size(), stop.size() - 1); size > 0; --size) {
    if (text.ends_with(stop.substr(0, size))) return size;
  }
  return 0;
}

}  // namespace

StopFilter::StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, "");
}

std::string StopFilter::feed(std::string_view piece) {
  if (stopped_) return "";
  held_ += piece;
  std::size_t found = std::string::npos, tail = 0;
  for (const std::string& stop : stops_) {
    found = std::min(found, held_.find(stop));
    tail = std::max(tail, open_tail(held_, stop));
  }
  stopped_ = found != std::string::npos;
  const std::size_t certain = stopped_ ? found : held_.size() - tail;
  std::string out = held_.substr(0, certain);
  held_.erase(0, stopped_ ? held_.size() : certain);
  return out;
}

std::string StopFilter::flush() {
  return std::exchange(held_, "");
}

}  // namespace adder::infer
