// Runs bin/adder as a user does, for tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "adder/io/json.h"

namespace adder::cli {

struct Finished {
  int code = -1;   // exit code; -1 when a signal ended it
  int signal = 0;  // that signal
  std::string out, err;

  io::Json json() const { return io::parse_json(out, "stdout"); }
};

/// `input` is its standard input; `environment`: "NAME=value" put above this process's.
Finished run_adder(const std::vector<std::string>& words, const std::string& input = {},
                   const std::vector<std::string>& environment = {});

/// Runs it with a standard output that nobody reads; only its exit and its words are kept.
Finished run_adder_unread(const std::vector<std::string>& words);

/// A folder that goes when it does.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  /// Writes a file and gives its path.
  std::string put(const std::string& name, const std::string& content) const;

 private:
  std::filesystem::path path_;
};

/// Writes token ids to a .npy file.
void write_ids(const std::string& file, const std::vector<int32_t>& ids);

/// A small Mamba-2 with a byte tokenizer, in `folder`. `zero`: all weights 0, so that every next
/// token is equally likely.
void make_model(const std::string& folder, bool zero = false);

}  // namespace adder::cli
