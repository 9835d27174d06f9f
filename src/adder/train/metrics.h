// What a run measures on the way: metrics.jsonl, one line an event, and the same as TensorBoard
// scalars.
//
//   {"kind":"step","step":10,"tokens":20480,"loss":4.1,"lr":0.001,"grad_norm":1.2,
//    "tokens_per_s":5120,"rss_mb":412,"time":1760000000.2}         and "skipped":true where it was,
//    "device_mb":31022 where a device trains: the most that it held so far
//   {"kind":"eval","step":100,"time":...,"loss":1.9,...}           every metric the task gives
//   {"kind":"stop","step":830,"time":...,"cause":"target_loss","reason":"..."}    training ended
//   early
//
// A number that is not finite is written as null. Losses in nats, tokens_per_s since the line
// before, time in seconds since 1970.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adder/io/json.h"
#include "adder/io/tensorboard.h"

namespace adder::train {

struct StepMetrics {
  int64_t step = 0;
  int64_t tokens = 0;  // since the start of the run
  double loss = 0;
  double lr = 0;
  double grad_norm = 0;
  double tokens_per_s = 0;
  bool skipped = false;
  double rss_mb = 0;     // memory of the process; 0 when written: as it is now
  double device_mb = 0;  // 0: no device
  double time = 0;       // 0 when written: now
};

struct EvalMetrics {
  int64_t step = 0;
  std::map<std::string, double> values;  // "loss", ...
  double time = 0;
};

struct StopMetrics {
  int64_t step = 0;
  std::string cause, reason;  // early_stop.h
  double time = 0;
};

struct Metrics {
  std::vector<StepMetrics> steps;
  std::vector<EvalMetrics> evaluations;
  std::vector<StopMetrics> stops;  // more than one where a run went on afterwards
};

/// Reads metrics.jsonl. A last line without its newline is what a killed process left, and is
/// dropped; any other line that does not fit is kFormat with its number. Lines of a kind that is
/// not known are passed over. A missing file is kNotFound.
Metrics read_metrics(const std::filesystem::path& path);

/// Appends to RUN/metrics.jsonl and RUN/events.out.tfevents.*; each line is handed to the system
/// before the call returns.
class MetricsWriter {
 public:
  /// Lines beyond `resume_step` are cut off first (atomically), and the TensorBoard events are made
  /// anew from what is left: a curve never shows a step twice. 0: start from nothing.
  MetricsWriter(const std::filesystem::path& run_folder, int64_t resume_step);

  /// Throw kIo when the disk refuses.
  void step(StepMetrics metrics);
  void evaluation(int64_t step, const std::map<std::string, double>& values);
  void stop(StopMetrics metrics);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void append(const io::Json& line);
  void post(const StepMetrics& metrics);
  void post(const EvalMetrics& metrics);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::unique_ptr<io::EventWriter> events_;
};

/// Bytes of memory the process holds now, and the most it ever held; 0 where the system does not
/// say.
int64_t resident_bytes();
int64_t peak_resident_bytes();

}  // namespace adder::train
