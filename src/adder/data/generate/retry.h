// When to ask a server again.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "adder/base/rng.h"

namespace adder::data {

using Milliseconds = std::chrono::milliseconds;

/// The wait before try `attempt` + 1 (attempt 0 was the first): base * 2^attempt, at most
/// `longest`, of which a random part between a half and the whole, so that clients that failed
/// together do not come back together.
Milliseconds backoff(int attempt, Milliseconds base, Milliseconds longest, Rng& rng);

/// What a Retry-After field asks for: seconds, or a date (RFC 9110, section 10.2.3, the form "Sun,
/// 06 Nov 1994 08:49:37 GMT") seen from `now`. Nothing where it says neither.
std::optional<Milliseconds> retry_after(std::string_view field,
                                        std::chrono::system_clock::time_point now);

/// Whether another try may help: too many requests, or a server that has trouble of its own.
bool worth_retrying(int http_status);

}  // namespace adder::data
