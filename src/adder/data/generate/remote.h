// Texts from a language model behind an HTTP server: a file for each, and a manifest that lets a
// run go on where another one stopped. Layout of the folder:
//
//   OUT/manifest.jsonl                        manifest.h
//   OUT/texts/LIST/TEMPLATE/ITEM.txt          train on OUT/texts
//
// A file is written whole or not at all. One that a person has changed, or that the manifest does
// not know, is left as it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "adder/base/options.h"
#include "adder/data/generate/llm_protocol.h"
#include "adder/data/generate/manifest.h"
#include "adder/data/generate/requests.h"
#include "adder/data/generate/text_filters.h"

namespace adder::data {

struct RemoteOptions {
  int64_t concurrency = 4;
  double timeout = 120;  // seconds for an answer
  int64_t retries = 5;
  double backoff = 1;            // seconds before the second try, doubled for each one after it
  double max_backoff = 60;       // the longest wait, also of those that the server asks for
  double rate = 0;               // requests a minute; 0: as they come
  int64_t limit = 0;             // requests of this run; 0: all
  double near_duplicates = 0.8;  // similarity from which a text counts as a copy; 1: exact ones

  void describe(OptionVisitor& visitor);
  void check() const;  // throws kUsage
};

struct RemoteCounts {
  int64_t total = 0;     // requests of this run
  int64_t finished = 0;  // done + rejected + failed + kept
  int64_t done = 0, rejected = 0, failed = 0;
  int64_t kept = 0;     // files of a person's that stand where a text would go
  int64_t earlier = 0;  // done or rejected by earlier runs
  int64_t tokens = 0;   // that servers counted
  bool stopped = false;
};

/// Called about ten times a second on the caller's thread, with what was rejected, failed or tried
/// again since. False ends the run: requests under way are given up, what is done stays.
using RemoteProgress = std::function<bool(const RemoteCounts&, const std::vector<std::string>&)>;

/// Makes `out` and asks `server` for every task that the manifest does not have. Throws kIo when
/// the server does not answer request after request, or refuses the key or the model.
RemoteCounts generate_remote(const LlmServer& server, std::vector<GenerateTask> tasks,
                             const TextFilters& filters, const RemoteOptions& options,
                             const std::filesystem::path& out, const RemoteProgress& progress);

}  // namespace adder::data
