// One line that says how far a long piece of work has come:
//
//   training  37% [=======             ] 370/1000  12.4 step/s  00:51 left  loss 1.87
//
// On a terminal the line is redrawn in place. Elsewhere there is no bar: a plain line appears at
// most every ten seconds, and none at all for work that takes less. Colour only on a terminal
// without NO_COLOR.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <string_view>

namespace adder {

struct ProgressTarget {
  std::function<void(std::string_view)>
      write;              // takes bytes as they are, "\r" and newlines included
  bool terminal = false;  // redraw in place
  bool colour = false;    // only looked at when `terminal`
  int columns = 80;       // width of the terminal

  /// A target over `file` (stderr, as a rule): asks isatty, the window's width and NO_COLOR.
  static ProgressTarget of(std::FILE* file);
};

class Progress {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;  // tests pass their own

  /// `total` 0: unknown, only the count and the rate are shown. `unit`: what is counted ("step",
  /// "B").
  Progress(ProgressTarget target, std::string title, int64_t total, std::string unit,
           Clock clock = &std::chrono::steady_clock::now);
  /// Finishes; when an exception ends the work, takes the bar off the line instead. Never throws.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` so far; `fields` is shown at the end of the line ("loss 1.87  lr 3e-4"). Cheap to call
  /// often: at most 10 redraws a second.
  void update(int64_t done, std::string_view fields = {});
  /// Takes the bar off the line so that other text can be written; the next update draws it again.
  void clear();
  /// Draws the last state and ends the line; off a terminal only where a line was written before.
  /// Later calls do nothing.
  void finish();

 private:
  void draw(std::chrono::steady_clock::time_point now);
  std::string line(std::chrono::steady_clock::time_point now) const;

  ProgressTarget target_;
  std::string title_;
  int64_t total_;
  std::string unit_;
  Clock clock_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point drawn_;
  int64_t first_ =
      -1;  // `done` of the first update: a resumed run's rate leaves out what was there
  int64_t done_ = 0;
  std::string fields_;
  bool ever_drawn_ = false;
  bool on_line_ = false;  // the bar stands on the terminal's current line
  bool finished_ = false;
  int exceptions_ = std::uncaught_exceptions();  // under way when this began
};

/// "00:50", "1:02:03", "3d 04:05": a duration as a user reads it.
std::string format_duration(double seconds);

}  // namespace adder
