#include "adder/cli/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "adder/base/printable.h"

namespace adder::cli {
namespace {

Bar* current_bar = nullptr;

/// What to do about an error that does not say it itself.
const char* next_step(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return "see --help";
    case ErrorKind::kConfig:
      return "correct the value and run it again";
    case ErrorKind::kNotFound:
      return "check the name";
    case ErrorKind::kIo:
      return "check the path, the space on its disk and your permissions";
    case ErrorKind::kFormat:
      return "the file is damaged or of another kind: give another one, or write it again";
    case ErrorKind::kShape:
      return "give files that belong to the same model";
    case ErrorKind::kNumeric:
      return "lower train.lr, or choose what to do with train.on_nan";
    case ErrorKind::kUnsupported:
      return "the README says what Adder can do";
    case ErrorKind::kInternal:
      break;
  }
  return "please report it with the command that you ran";
}

}  // namespace

void print(std::string_view bytes) {
  // Not through stdio: it loses its place when a signal (Ctrl-C) cuts a write short.
  while (!bytes.empty()) {
    const ssize_t count = write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      break;
    }
  }
  if (bytes.empty()) return;
  if (errno == EPIPE) throw StdoutClosed{};
  throw Error(
      ErrorKind::kIo,
      {.what = "cannot write the output", .where = "standard output", .why = std::strerror(errno)});
}

void print_json(const io::Json& value) {
  print(value.dump(-1, ' ', false, io::Json::error_handler_t::replace) + "\n");
}

bool colour_on_stderr() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool dumb = term != nullptr && std::strcmp(term, "dumb") == 0;
  return isatty(2) == 1 && (no_color == nullptr || *no_color == 0) && !dumb;
}

void say(std::string_view line) {
  if (current_bar != nullptr) current_bar->clear();
  const std::string text = std::string(line) + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void print_error(ErrorText text, ErrorKind kind, bool json) {
  constexpr std::size_t kMaxBytes = 2000;  // of each part: names and values come from files
  if (text.next.empty()) text.next = next_step(kind);
  for (std::string* part : {&text.what, &text.where, &text.why, &text.next}) {
    *part = printable(*part, kMaxBytes);
  }
  const bool colour = colour_on_stderr();
  std::string out = colour ? "\x1b[1;31merror:\x1b[0m " : "error: ";
  out += text.what;
  if (!text.where.empty()) out += "\n  where: " + text.where;
  if (!text.why.empty()) out += "\n  why:   " + text.why;
  out += "\n  next:  " + text.next;
  say(out);
  if (!json) return;
  print_json({{"error",
               {{"kind", to_string(kind)},
                {"what", text.what},
                {"where", text.where},
                {"why", text.why},
                {"next", text.next}}}});
}

Bar::Bar(std::string title, int64_t total, std::string unit)
    : progress_(ProgressTarget::of(stderr), std::move(title), total, std::move(unit)) {
  current_bar = this;
}

Bar::~Bar() {
  current_bar = nullptr;
}

std::string short_number(double value) {
  constexpr const char* kSuffix[] = {"", " k", " M", " G", " T", " P", " E"};
  std::size_t power = 0;
  while (std::abs(value) >= 999.5 && power + 1 < std::size(kSuffix)) {
    value /= 1000;
    ++power;
  }
  return fmt::format("{:.{}f}{}", value,
                     power == 0 || value >= 100 ? 0
                     : value >= 10              ? 1
                                                : 2,
                     kSuffix[power]);
}

std::string short_bytes(double bytes) {
  std::string text = short_number(bytes);
  return text + (text.find(' ') == std::string::npos ? " B" : "B");
}

}  // namespace adder::cli
