#include "adder/train/metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <string_view>

#include "adder/base/error.h"
#include "adder/base/log.h"
#include "adder/io/file.h"

namespace adder::train {
namespace {

constexpr int64_t kMaxBytes = int64_t{2} << 30;
constexpr io::JsonLimits kLineLimits{.max_bytes = 1 << 20, .max_depth = 4};
constexpr std::string_view kEventPrefix = "events.out.tfevents.";

double now() {
  const auto time = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

/// A number, or NaN for the null that stands for one that was not finite, or for a missing one.
double number(const io::JsonView& line, std::string_view key) {
  const auto value = line.find(key);
  return value ? value->as_number() : std::numeric_limits<double>::quiet_NaN();
}

StepMetrics step_of(const io::JsonView& line) {
  StepMetrics m;
  m.step = line.at("step").as_integer(0);
  m.tokens = line.integer("tokens", 0);
  m.loss = number(line, "loss");
  m.lr = number(line, "lr");
  m.grad_norm = number(line, "grad_norm");
  m.tokens_per_s = number(line, "tokens_per_s");
  m.skipped = line.boolean("skipped", false);
  m.rss_mb = number(line, "rss_mb");
  m.device_mb = line.number("device_mb", 0);
  m.time = line.number("time", 0);
  return m;
}

EvalMetrics evaluation_of(const io::JsonView& line) {
  EvalMetrics m;
  m.step = line.at("step").as_integer(0);
  m.time = line.number("time", 0);
  for (const auto& [key, value] : line.json().items()) {
    if (key == "kind" || key == "step" || key == "time") continue;
    m.values[key] = number(line, key);
  }
  return m;
}

/// `each(line, its number from 1)` for every whole line.
void each_line(std::string_view text, const std::function<void(std::string_view, int64_t)>& each) {
  int64_t line_number = 1;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string_view::npos;
       begin = end + 1, ++line_number) {
    if (end > begin) each(text.substr(begin, end - begin), line_number);
  }
}

/// The step a line belongs to.
int64_t step_number(std::string_view line, const std::string& where) {
  const io::Json json = io::parse_json(line, where, kLineLimits);
  return io::JsonView(json, where).at("step").as_integer(0);
}

std::string place(const std::filesystem::path& path, int64_t line) {
  return path.string() + ", line " + std::to_string(line);
}

/// Rewrites the file without the lines beyond `last_step` and without a torn last line.
void cut(const std::filesystem::path& path, int64_t last_step) {
  const std::string text = io::read_file(path, kMaxBytes);
  std::string kept;
  each_line(text, [&](std::string_view line, int64_t n) {
    try {
      if (step_number(line, place(path, n)) <= last_step) kept.append(line).append("\n");
    } catch (const Error& error) {  // what a crash of the machine left: no reason not to resume
      log_warn_once(place(path, n),
                    std::string("a line of the metrics is dropped: ") + error.what());
    }
  });
  if (kept.size() != text.size()) io::write_file_atomic(path, kept);
}

void remove_events(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> old;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with(kEventPrefix)) old.push_back(entry.path());
  }
  for (const auto& path : old) std::filesystem::remove(path);
}

[[noreturn]] void fail(const std::filesystem::path& path) {
  throw Error(
      ErrorKind::kIo,
      {.what = "cannot write the metrics", .where = path.string(), .why = std::strerror(errno)});
}

}  // namespace

Metrics read_metrics(const std::filesystem::path& path) {
  const std::string text = io::read_file(path, kMaxBytes);
  Metrics metrics;
  each_line(text, [&](std::string_view line, int64_t n) {
    const std::string where = place(path, n);
    const io::Json json = io::parse_json(line, where, kLineLimits);
    const io::JsonView view(json, where);
    const std::string kind = view.at("kind").as_string();
    if (kind == "step") metrics.steps.push_back(step_of(view));
    if (kind == "stop") {
      metrics.stops.push_back({.step = view.at("step").as_integer(0),
                               .cause = view.string("cause", ""),
                               .reason = view.string("reason", ""),
                               .time = view.number("time", 0)});
    }
    if (kind == "eval") metrics.evaluations.push_back(evaluation_of(view));
  });
  return metrics;
}

MetricsWriter::MetricsWriter(const std::filesystem::path& run_folder, int64_t resume_step)
    : path_(run_folder / "metrics.jsonl") {
  io::make_directories(run_folder);
  Metrics kept;
  if (resume_step <= 0) {
    io::write_file_atomic(path_, "");
  } else if (std::filesystem::exists(path_)) {
    cut(path_, resume_step);
    kept = read_metrics(path_);
  }
  remove_events(run_folder);
  events_ = std::make_unique<io::EventWriter>(run_folder);
  for (const StepMetrics& metrics : kept.steps) post(metrics);
  for (const EvalMetrics& metrics : kept.evaluations) post(metrics);
  events_->flush();
  file_.reset(std::fopen(path_.c_str(), "ae"));
  if (!file_) fail(path_);
}

void MetricsWriter::step(StepMetrics m) {
  if (m.time == 0) m.time = now();
  if (m.rss_mb == 0) m.rss_mb = std::round(static_cast<double>(resident_bytes()) / 1e5) / 10;
  io::Json line = {{"kind", "step"},
                   {"step", m.step},
                   {"tokens", m.tokens},
                   {"loss", m.loss},
                   {"lr", m.lr},
                   {"grad_norm", m.grad_norm},
                   {"tokens_per_s", m.tokens_per_s},
                   {"rss_mb", m.rss_mb},
                   {"time", m.time}};
  if (m.skipped) line["skipped"] = true;
  if (m.device_mb > 0) line["device_mb"] = m.device_mb;
  append(line);
  post(m);
  events_->flush();
}

void MetricsWriter::evaluation(int64_t step, const std::map<std::string, double>& values) {
  const EvalMetrics m{.step = step, .values = values, .time = now()};
  io::Json line = {{"kind", "eval"}, {"step", m.step}, {"time", m.time}};
  for (const auto& [name, value] : m.values) line[name] = value;
  append(line);
  post(m);
  events_->flush();
}

void MetricsWriter::stop(StopMetrics m) {
  if (m.time == 0) m.time = now();
  append({{"kind", "stop"},
          {"step", m.step},
          {"time", m.time},
          {"cause", m.cause},
          {"reason", m.reason}});
}

void MetricsWriter::append(const io::Json& line) {
  const std::string text = line.dump() + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() ||
      std::fflush(file_.get()) != 0) {
    fail(path_);
  }
}

void MetricsWriter::post(const StepMetrics& m) {
  const std::pair<const char*, double> scalars[] = {{"train/loss", m.loss},
                                                    {"train/lr", m.lr},
                                                    {"train/grad_norm", m.grad_norm},
                                                    {"train/tokens_per_s", m.tokens_per_s},
                                                    {"train/rss_mb", m.rss_mb}};
  for (const auto& [tag, value] : scalars) {
    events_->scalar(tag, m.step, static_cast<float>(value), m.time);
  }
  if (m.device_mb > 0)
    events_->scalar("train/device_mb", m.step, static_cast<float>(m.device_mb), m.time);
}

void MetricsWriter::post(const EvalMetrics& m) {
  for (const auto& [name, value] : m.values) {
    events_->scalar("eval/" + name, m.step, static_cast<float>(value), m.time);
  }
}

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0, resident = 0;
  if (!(file >> size >> resident)) return 0;
  return resident * sysconf(_SC_PAGESIZE);
}

int64_t peak_resident_bytes() {
  rusage usage{};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? int64_t{usage.ru_maxrss} * 1024 : 0;
}

}  // namespace adder::train
