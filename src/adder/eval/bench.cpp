#include "adder/eval/bench.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <sstream>

#include "adder/base/error.h"
#include "adder/eval/bench_run.h"

namespace adder::eval {
namespace {

constexpr double kShortestSample = 0.02;  // seconds; shorter work is repeated
constexpr double kLongSample = 1;         // seconds; longer work is measured three times at most

double seconds_of(const BenchRun::Work& work, int64_t times) {
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < times; ++i) work();
  const std::chrono::duration<double> span = std::chrono::steady_clock::now() - start;
  return span.count() / static_cast<double>(times);
}

/// Three figures, padded to `width` from the left.
std::string padded(double value, int width) {
  std::ostringstream out;
  out.setf(std::ios::fixed);
  out.precision(value >= 100 || value == 0 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3);
  out << value;
  const std::string text = value == 0 ? "" : out.str();
  return std::string(std::max<size_t>(size_t(width), text.size()) - text.size(), ' ') + text;
}

std::string column(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

io::Json spread_json(const Spread& spread) {
  return {{"median", spread.median}, {"lowest", spread.lowest}, {"highest", spread.highest}};
}

}  // namespace

void BenchOptions::describe(OptionVisitor& v) {
  v.field("repeats", repeats,
          "measurements of each side, 3 at most of what takes over a second; the figure is their "
          "median");
  v.field("threads", threads, "processor threads; 0: every core");
  v.field("only", only, "only rows whose name or group holds this text");
}

bool BenchRun::wanted(const std::string& group, const std::string& name) const {
  return options_.only.empty() || group.find(options_.only) != std::string::npos ||
         name.find(options_.only) != std::string::npos;
}

void BenchRun::add(BenchRow row) {
  if (row.peer_value.median > 0) {
    row.ratio = row.unit == "ms" ? row.peer_value.median / row.ours.median
                                 : row.ours.median / row.peer_value.median;
  }
  rows_.push_back(std::move(row));
  if (progress_) progress_(rows_.back());
}

std::vector<Spread> BenchRun::time(const std::vector<Work>& candidates) const {
  std::vector<int64_t> times;
  int64_t repeats = options_.repeats;
  for (const Work& work : candidates) {
    work();
    const double once = seconds_of(work, 1);
    if (once > kLongSample) repeats = std::min<int64_t>(repeats, 3);
    times.push_back(
        std::clamp<int64_t>(std::llround(kShortestSample / std::max(once, 1e-7)), 1, 100000));
  }
  std::vector<std::vector<double>> samples(candidates.size());
  for (int64_t i = 0; i < repeats; ++i) {
    for (size_t c = 0; c < candidates.size(); ++c)
      samples[c].push_back(seconds_of(candidates[c], times[c]));
  }
  std::vector<Spread> result;
  for (auto& sample : samples) result.push_back(spread_of(std::move(sample)));
  return result;
}

const MachineLimits& BenchRun::limits() {
  if (!limits_) limits_ = measure_limits(*this);
  return *limits_;
}

Spread spread_of(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const size_t middle = samples.size() / 2;
  const double median =
      samples.size() % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
  return {median, samples.front(), samples.back()};
}

Spread as_milliseconds(const Spread& seconds) {
  return {seconds.median * 1e3, seconds.lowest * 1e3, seconds.highest * 1e3};
}

Spread as_rate(const Spread& seconds, double amount) {
  return {amount / seconds.median, amount / seconds.highest, amount / seconds.lowest};
}

std::vector<BenchRow> run_bench(const BenchOptions& options, const BenchProgress& progress) {
  if (options.repeats < 1 || options.threads < 0) {
    throw Error(ErrorKind::kUsage, {.what = "a number is out of range",
                                    .where = options.repeats < 1 ? "--repeats" : "--threads"});
  }
  if (options.threads > 0) at::set_num_threads(static_cast<int>(options.threads));
  BenchRun run(options, progress);
  bench_limits(run);
  bench_operators(run);
  bench_word_ssm(run);
  bench_training(run);
  bench_generation(run);
  if (run.rows().empty()) {
    throw Error(ErrorKind::kUsage, {.what = "no row of the benchmark fits",
                                    .where = "--only " + options.only,
                                    .next = "try ssd, conv, norm, training, decode or prefill"});
  }
  return run.rows();
}

std::string bench_header() {
  return column("", 44) + "     ours  unit         peer  ratio   spread  GFLOP/s   GB/s  limit\n";
}

std::string device_bench_header() {
  return column("", 44) +
         "     ours  unit         peer  ratio   spread  TFLOP/s   TB/s    GB  limit\n";
}

namespace {

/// `unit`: how many GFLOP/s and GB/s a column's figure is. `memory`: with the device's.
std::string row_line(const BenchRow& row, double unit, bool memory) {
  const double spread = (row.ours.highest - row.ours.lowest) / row.ours.median * 100;
  std::ostringstream out;
  out << column(row.name, 44) << padded(row.ours.median, 9) << "  " << column(row.unit, 8)
      << padded(row.peer_value.median, 9)
      << (row.ratio > 0 ? padded(row.ratio, 6) + "x" : "       ") << padded(spread, 7) << " %"
      << padded(row.gflops / unit, 9) << padded(row.gbytes / unit, 7);
  if (memory) out << padded(row.peak_gb, 6);
  out << "  ";
  if (row.share > 0) out << std::lround(row.share * 100) << " % of " << row.limit;
  if (!row.peer.empty()) out << (row.share > 0 ? "; " : "") << "peer: " << row.peer;
  if (row.peer_peak_gb > 0) out << ", " << padded(row.peer_peak_gb, 0) << " GB";
  std::string line = out.str();
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

}  // namespace

std::string bench_line(const BenchRow& row) {
  return row_line(row, 1, false);
}

std::string device_bench_line(const BenchRow& row) {
  return row_line(row, 1e3, true);
}

io::Json bench_json(const std::vector<BenchRow>& rows) {
  io::Json list = io::Json::array();
  for (const BenchRow& row : rows) {
    io::Json json = {{"group", row.group},
                     {"name", row.name},
                     {"unit", row.unit},
                     {"ours", spread_json(row.ours)}};
    if (!row.peer.empty()) {
      json["peer"] = row.peer;
      json["peer_value"] = spread_json(row.peer_value);
      json["ratio"] = row.ratio;
    }
    if (row.gflops > 0) json["gflops_per_s"] = row.gflops;
    if (row.gbytes > 0) json["gbytes_per_s"] = row.gbytes;
    if (row.share > 0) json["limit"] = row.limit, json["share_of_limit"] = row.share;
    if (row.peak_gb > 0) json["peak_gb"] = row.peak_gb;
    if (row.peer_peak_gb > 0) json["peer_peak_gb"] = row.peer_peak_gb;
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace adder::eval
