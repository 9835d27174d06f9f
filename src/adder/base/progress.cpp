#include "adder/base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

namespace adder {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr double kRedrawSeconds = 0.1;  // on a terminal
constexpr double kLineSeconds = 10;     // elsewhere
constexpr int kBarWidth = 20;

// Four figures of meaning, with a letter for thousands: "12.4", "1.86k", "250M".
std::string short_number(double value) {
  constexpr std::pair<double, const char*> kScales[] = {
      {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
  for (const auto& [scale, letter] : kScales) {
    if (value >= scale) return fmt::format("{:.3g}{}", value / scale, letter);
  }
  return fmt::format("{:.3g}", value);
}

double seconds(steady_clock::duration span) {
  return duration<double>(span).count();
}

}  // namespace

std::string format_duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::clamp(seconds, 0.0, 1e12)));
  const int64_t days = whole / 86400;
  const int64_t hours = whole / 3600 % 24;
  const int64_t minutes = whole / 60 % 60;
  if (days > 0) return fmt::format("{}d {:02}:{:02}", days, hours, minutes);
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{:02}:{:02}", minutes, whole % 60);
}

ProgressTarget ProgressTarget::of(std::FILE* file) {
  ProgressTarget target;
  target.write = [file](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), file);
    std::fflush(file);
  };
  target.terminal = isatty(fileno(file)) == 1;
  const char* no_colour = std::getenv("NO_COLOR");
  target.colour = target.terminal && (no_colour == nullptr || *no_colour == 0);
  winsize size{};
  if (target.terminal && ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    target.columns = size.ws_col;
  }
  return target;
}

Progress::Progress(ProgressTarget target, std::string title, int64_t total, std::string unit,
                   Clock clock)
    : target_(std::move(target)),
      title_(std::move(title)),
      total_(total),
      unit_(std::move(unit)),
      clock_(std::move(clock)),
      start_(clock_()),
      drawn_(start_) {}

Progress::~Progress() {
  try {
    std::uncaught_exceptions() > exceptions_ ? clear() : finish();
  } catch (...) {  // nothing to do for a display that cannot be drawn
  }
}

void Progress::update(int64_t done, std::string_view fields) {
  if (finished_) return;
  if (first_ < 0) first_ = done;
  done_ = done;
  fields_ = fields;
  const auto now = clock_();
  const double pause = target_.terminal ? kRedrawSeconds : kLineSeconds;
  const bool first_on_terminal = target_.terminal && !ever_drawn_;
  if (first_on_terminal || seconds(now - drawn_) >= pause) draw(now);
}

void Progress::clear() {
  if (!on_line_) return;
  target_.write("\r\x1b[K");
  on_line_ = false;
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (first_ < 0) return;  // nothing ever began
  if (!target_.terminal && !ever_drawn_) return;
  draw(clock_());
  if (target_.terminal) target_.write("\n");
  on_line_ = false;
}

void Progress::draw(steady_clock::time_point now) {
  ever_drawn_ = true;
  drawn_ = now;
  std::string text = line(now);
  if (!target_.terminal) {
    target_.write(text + "\n");
    return;
  }
  const auto width = static_cast<std::size_t>(std::max(target_.columns - 1, 1));
  if (text.size() > width) text.resize(width);
  const auto bar = text.find("[=");
  const auto end = text.find_first_of(" ]", bar);
  if (target_.colour && bar != std::string::npos && end != std::string::npos) {
    text.insert(end, "\x1b[0m");
    text.insert(bar + 1, "\x1b[32m");
  }
  target_.write("\r" + text + "\x1b[K");
  on_line_ = true;
}

std::string Progress::line(steady_clock::time_point now) const {
  const double elapsed = seconds(now - start_);
  const double rate = elapsed > 0 ? static_cast<double>(done_ - first_) / elapsed : 0;
  std::string text = title_;
  if (total_ > 0) {
    const double part =
        std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0);
    const int filled = static_cast<int>(part * kBarWidth);
    text += fmt::format(" {:3.0f}%", std::floor(part * 100));
    if (target_.terminal) {
      text += fmt::format(" [{:<{}}]", std::string(filled, '='), kBarWidth);
    }
    text += fmt::format(" {}/{}", done_, total_);
  } else {
    text += fmt::format(" {}", done_);
  }
  if (rate > 0) text += fmt::format("  {} {}/s", short_number(rate), unit_);
  if (rate > 0 && total_ > done_ && !finished_) {
    text += fmt::format("  {} left", format_duration(static_cast<double>(total_ - done_) / rate));
  } else {
    text += fmt::format("  {}", format_duration(elapsed));
  }
  if (!fields_.empty()) text += "  " + fields_;
  return text;
}

}  // namespace adder
