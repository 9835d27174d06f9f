#include "adder/base/log.h"

#include <mutex>
#include <string>
#include <unordered_set>
#include <utility>

namespace adder {
namespace {

struct Log {
  std::mutex mutex;
  LogSink sink;
  std::unordered_set<std::string> warned;
};

Log& log() {
  static Log instance;
  return instance;
}

}  // namespace

LogSink set_log_sink(LogSink sink) {
  const std::lock_guard lock(log().mutex);
  return std::exchange(log().sink, std::move(sink));
}

void log_info(std::string_view text) {
  const std::lock_guard lock(log().mutex);
  if (log().sink) log().sink(LogLevel::kInfo, text);
}

void log_warn_once(std::string_view key, std::string_view text) {
  const std::lock_guard lock(log().mutex);
  if (log().sink && log().warned.emplace(key).second) log().sink(LogLevel::kWarning, text);
}

}  // namespace adder
