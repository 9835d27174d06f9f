// Where the program speaks: data on stdout, words and the progress bar on stderr.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "adder/base/error.h"
#include "adder/base/progress.h"
#include "adder/io/json.h"

namespace adder::cli {

/// Thrown by print() when nobody reads stdout any more (a closed pipe): the program ends quietly.
struct StdoutClosed {};

/// Bytes to stdout, flushed. Throws StdoutClosed, or kIo when the system refuses.
void print(std::string_view bytes);
/// One line of JSON to stdout; invalid UTF-8 becomes U+FFFD.
void print_json(const io::Json& value);

/// stderr is a terminal that shows colours, and nobody said NO_COLOR.
bool colour_on_stderr();

/// A line of words to stderr, above the progress bar when there is one.
void say(std::string_view line);

/// "error: WHAT" and its where, why and next (one for its kind, when it has none) to stderr; with
/// `json` also as an object to stdout.
void print_error(ErrorText text, ErrorKind kind, bool json);

/// A progress bar on stderr; say() keeps it below the words. One at a time.
class Bar {
 public:
  Bar(std::string title, int64_t total, std::string unit);
  ~Bar();
  Bar(const Bar&) = delete;
  Bar& operator=(const Bar&) = delete;
  void update(int64_t done, std::string_view fields = {}) { progress_.update(done, fields); }
  void finish() { progress_.finish(); }
  void clear() { progress_.clear(); }

 private:
  Progress progress_;
};

/// "1.2 k", "3.4 M"
std::string short_number(double value);
/// "1.2 GB"
std::string short_bytes(double bytes);
}  // namespace adder::cli
