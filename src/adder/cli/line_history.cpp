#include "adder/cli/line_history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "adder/base/error.h"
#include "adder/base/log.h"
#include "adder/data/unescape.h"
#include "adder/io/file.h"
#include "adder/text/utf8.h"

namespace adder::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLargestFile = 4 * LineHistory::kMostLines * LineHistory::kMostBytes;

std::string escape(std::string_view line) {
  std::string out;
  for (const char c : line) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else {
      out += c;
    }
  }
  return out;
}

[[noreturn]] void fail(const fs::path& file) {
  throw Error(ErrorKind::kIo, {.what = "cannot keep the lines that you type",
                               .where = file.string(),
                               .why = std::strerror(errno)});
}

void warn(const Error& error) {
  log_warn_once("line history",
                error.text().what + " (" + error.text().where + ": " + error.text().why + ")");
}

}  // namespace

fs::path LineHistory::default_file() {
  const auto folder_of = [](const char* name) {
    const char* value = std::getenv(name);
    const fs::path path(value == nullptr ? "" : value);
    return path.is_absolute() ? path : fs::path();
  };
  fs::path state = folder_of("XDG_STATE_HOME");
  if (const fs::path home = folder_of("HOME"); state.empty() && !home.empty()) {
    state = home / ".local/state";
  }
  return state.empty() ? state : state / "adder/chat_history";
}

LineHistory::LineHistory(fs::path file) : file_(std::move(file)) {
  if (file_.empty()) return;
  try {
    load();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) warn(error);
  }
}

void LineHistory::load() {
  const std::string text = io::read_file(file_, kLargestFile);
  for (std::string_view rest = text; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty() || !text::is_valid_utf8(line)) continue;
    try {
      lines_.push_back(data::unescape(line));
    } catch (const Error&) {  // not written by us: nothing to lose
    }
  }
  if (lines_.size() <= kMostLines) return;
  const bool full = lines_.size() >= 2 * kMostLines;
  lines_.erase(lines_.begin(), lines_.end() - kMostLines);
  if (!full) return;
  std::string kept;
  for (const auto& line : lines_) kept += escape(line) + "\n";
  io::write_file_atomic(file_, kept);  // its folder lets nobody else in, see append()
  if (chmod(file_.c_str(), 0600) != 0) fail(file_);
}

void LineHistory::add(std::string_view line) {
  if (line.find_first_not_of(" \t\n") == std::string_view::npos) return;
  if (!lines_.empty() && lines_.back() == line) return;
  lines_.emplace_back(line);
  if (file_.empty() || line.size() > kMostBytes) return;
  try {
    append(line);
  } catch (const Error& error) {
    warn(error);
  }
}

void LineHistory::append(std::string_view line) {
  const fs::path folder = file_.parent_path();
  io::make_directories(folder.parent_path());
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) fail(folder);
  const int fd = open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) fail(file_);
  const std::string text = escape(line) + "\n";
  const bool written = fchmod(fd, 0600) == 0 &&
                       write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int problem = errno;
  close(fd);
  errno = problem;
  if (!written) fail(file_);
}

}  // namespace adder::cli
