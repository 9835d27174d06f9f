// One question to a language model's server, with what its answer means for the next step.
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "adder/data/generate/llm_protocol.h"
#include "adder/data/generate/retry.h"

namespace adder::data {

struct LlmOutcome {
  enum Kind {
    kText,   // `reply` is what it wrote
    kAgain,  // it may work later: not before `wait`, where the server says so
    kFail,   // it will not work for this request
    kFatal,  // it will not work for any: no such host, key, model or API
  };
  Kind kind = kText;
  LlmReply reply;
  std::string reason;  // of all but kText; never holds the key
  std::optional<Milliseconds> wait;
};

/// Throws nothing that the server can cause.
LlmOutcome ask_llm(const LlmServer& server, std::string_view prompt, int64_t seed,
                   Milliseconds timeout, std::stop_token stop);

}  // namespace adder::data
