// Words for the user. The library never prints: it hands its notes to a sink. None is installed by
// default, so a program that embeds Adder stays silent; the command line installs one that writes
// to stderr.
#pragma once

#include <functional>
#include <string_view>

namespace adder {

enum class LogLevel { kInfo, kWarning };

/// Called under a lock, one message at a time, from any thread. It must not log itself.
using LogSink = std::function<void(LogLevel level, std::string_view text)>;

/// Installs `sink` for the process and returns the one before it; an empty sink silences.
LogSink set_log_sink(LogSink sink);

void log_info(std::string_view text);

/// A warning given once in the life of the process for each `key` ("ssd.slow_path"): slow paths use
/// it to name their reason. Counted as given only when a sink is there to take it.
void log_warn_once(std::string_view key, std::string_view text);

}  // namespace adder
