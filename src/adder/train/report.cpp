#include "adder/train/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "adder/base/error.h"
#include "adder/base/progress.h"
#include "adder/io/file.h"
#include "adder/io/json.h"
#include "adder/train/metrics.h"
#include "adder/train/report_html.h"
#include "adder/train/report_plot.h"
#include "adder/train/report_run.h"

namespace adder::train {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxSample = 1 << 20;  // bytes of a samples file that is still read
constexpr size_t kShownSample = 20000;   // bytes of a sample that are shown
constexpr size_t kMostSamples = 40;

/// A JSON value as a reader wants it: strings without quotes, lists with commas.
std::string show(const io::Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "–";
  if (value.is_array()) {
    std::string out;
    for (const io::Json& element : value) out += (out.empty() ? "" : ", ") + show(element);
    return out;
  }
  return value.dump();
}

/// "bits_per_byte" as words.
std::string spaced(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

// --- header ------------------------------------------------------------------------------------

std::string fact(const std::string& value, const std::string& what) {
  return "<div><b>" + escape_html(value) + "</b><span>" + escape_html(what) + "</span></div>";
}

/// The mean loss of the last steps, at most a tenth of them: what one noisy step of many says is
/// not shown as the result.
double last_loss(const std::vector<StepMetrics>& steps) {
  const size_t wanted = std::clamp<size_t>(steps.size() / 10, 1, 10);
  double sum = 0;
  size_t count = 0;
  for (auto step = steps.rbegin(); step != steps.rend() && count < wanted; ++step) {
    if (!std::isfinite(step->loss) || step->skipped) continue;
    sum += step->loss;
    ++count;
  }
  return count > 0 ? sum / static_cast<double>(count) : NAN;
}

std::string evaluation_facts(const std::vector<EvalMetrics>& evaluations) {
  if (evaluations.empty()) return "";
  std::string out;
  const EvalMetrics* best = nullptr;
  for (const EvalMetrics& e : evaluations) {
    const auto loss = e.values.find("loss");
    if (loss == e.values.end() || !std::isfinite(loss->second)) continue;
    if (best == nullptr || loss->second < best->values.at("loss")) best = &e;
  }
  const EvalMetrics& last = evaluations.back();
  const auto loss = last.values.find("loss");
  if (loss != last.values.end()) out += fact(format_number(loss->second), "held-out loss");
  if (best != nullptr && best->step != last.step) {
    out += fact(format_number(best->values.at("loss")),
                "best held-out loss, step " + std::to_string(best->step));
  }
  for (const auto& [name, value] : last.values) {
    if (name != "loss" && name != "tokens")
      out += fact(format_number(value), "held-out " + spaced(name));
  }
  return out;
}

/// Why training ended before its last step; "" where it did not, or went on since.
std::string end_of_run(const Run& run) {
  if (run.metrics.stops.empty() || run.metrics.steps.empty()) return "";
  const StopMetrics& stop = run.metrics.stops.back();
  if (stop.step < run.metrics.steps.back().step) return "";
  return "<p>Training ended early, at step " + std::to_string(stop.step) + ": " +
         escape_html(stop.reason) + ".</p>\n";
}

std::string header(const Run& run) {
  std::string sub;
  const auto add = [&](const std::string& text) { sub += (sub.empty() ? "" : " · ") + text; };
  const io::Json started = find(run.json, {"started"}), version = find(run.json, {"adder"});
  if (!version.is_null()) add("Adder " + show(version));
  if (!started.is_null()) add("started " + show(started));
  if (const io::Json seed = find(run.json, {"seed"}); !seed.is_null()) add("seed " + show(seed));
  std::string out = "<h1>" + escape_html(run_name(run.folder)) + "</h1><p class=\"sub\">" +
                    escape_html(sub) + "</p><div class=\"facts\">";

  const io::Json parameters = find(run.json, {"model", "parameters"});
  if (parameters.is_number()) out += fact(format_short(parameters.get<double>()), "parameters");
  const auto& steps = run.metrics.steps;
  if (!steps.empty()) {
    out += fact(format_number(last_loss(steps)), "training loss, last steps");
    if (run.metrics.evaluations.empty()) {  // nothing is held out
      out += fact(format_number(std::exp(last_loss(steps))), "training perplexity, last steps");
    }
  }
  out += evaluation_facts(run.metrics.evaluations);
  if (!steps.empty()) {
    const io::Json total = find(run.json, {"config", "train", "steps"});
    out += fact(format_number(double(steps.back().step)),
                total.is_number() ? "steps of " + format_number(total.get<double>()) : "steps");
    out += fact(format_short(double(steps.back().tokens)), "tokens");
    out += fact(format_short(median_speed(steps)), "tokens/s, median");
    const double seconds = steps.back().time - steps.front().time;
    if (seconds > 0) out += fact(format_duration(seconds), "from first to last step");
    double peak = 0, device = 0;
    for (const StepMetrics& s : steps) {
      peak = std::fmax(peak, s.rss_mb);
      device = std::fmax(device, s.device_mb);
    }
    if (peak > 0) out += fact(format_bytes(peak * 1e6), "memory, highest seen");
    if (device > 0) out += fact(format_bytes(device * 1e6), "memory of the device, at the peak");
  }
  out += "</div>\n" + end_of_run(run);
  for (const std::string& problem : run.problems) {
    out += "<p class=\"warn\">" + escape_html(problem) + "</p>\n";
  }
  return out;
}

// --- curves ------------------------------------------------------------------------------------

std::vector<Point> curve(const Run& run, double StepMetrics::*member) {
  std::vector<Point> points;
  for (const StepMetrics& s : run.metrics.steps) points.push_back({double(s.step), s.*member});
  return points;
}

/// The points, and their running mean in front of them when there are enough to hide a course.
void add_smoothed(Chart& chart, const std::string& name, int colour, std::vector<Point> raw) {
  const size_t reach = std::min<size_t>(raw.size() / 120, 20);
  if (reach > 0) {
    std::vector<Point> mean = smooth(raw, reach);
    chart.series.push_back(
        {.name = "single step", .colour = colour, .points = std::move(raw), .faint = true});
    raw = std::move(mean);
  }
  chart.series.push_back({.name = reach > 0 ? name + " (smoothed)" : name,
                          .colour = colour,
                          .points = std::move(raw)});
}

/// The loss that training was to end at, as a line across; nothing where there was none.
std::optional<Series> target_line(const Run& run) {
  const io::Json target = find(run.json, {"config", "train", "stop", "target_loss"});
  if (!target.is_number() || target.get<double>() <= 0 || run.metrics.steps.empty()) return {};
  const double loss = target.get<double>();
  const bool memorise = find(run.json, {"config", "train", "overfit"}) == io::Json(true);
  return Series{.name = (memorise ? "memorised: " : "target: ") + format_number(loss),
                .colour = 3,
                .points = {{double(run.metrics.steps.front().step), loss},
                           {double(run.metrics.steps.back().step), loss}}};
}

Chart loss_chart(const Run& run) {
  Chart chart{.title = "Loss", .unit = "nats per token", .wide = true};
  add_smoothed(chart, "training", 1, curve(run, &StepMetrics::loss));
  Series held_out{.name = "held out", .colour = 2};
  for (const EvalMetrics& e : run.metrics.evaluations) {
    const auto found = e.values.find("loss");
    if (found != e.values.end()) held_out.points.push_back({double(e.step), found->second});
  }
  held_out.marked = held_out.points.size() <= 60;
  if (!held_out.points.empty()) chart.series.push_back(std::move(held_out));
  if (auto target = target_line(run)) chart.series.push_back(std::move(*target));
  return chart;
}

/// One chart for each metric of the evaluations but the loss.
std::string evaluation_charts(const Run& run) {
  std::set<std::string> names;
  for (const EvalMetrics& e : run.metrics.evaluations) {
    for (const auto& [name, value] : e.values) names.insert(name);
  }
  names.erase("loss");
  names.erase("tokens");  // how many were read, not how well
  std::string out;
  for (const std::string& name : names) {
    Series series{.name = name, .colour = 2, .marked = true};
    for (const EvalMetrics& e : run.metrics.evaluations) {
      const auto found = e.values.find(name);
      if (found != e.values.end()) series.points.push_back({double(e.step), found->second});
    }
    if (series.points.size() < 2) continue;
    out += draw({.title = "Held-out " + spaced(name), .unit = "", .series = {std::move(series)}});
  }
  return out;
}

std::string charts(const Run& run) {
  const auto single = [&](const char* title, const char* unit, double StepMetrics::*member,
                          int colour, bool noisy) {
    Chart chart{.title = title, .unit = unit, .from_zero = true};
    if (noisy) {
      add_smoothed(chart, title, colour, curve(run, member));
    } else {
      chart.series.push_back({.name = title, .colour = colour, .points = curve(run, member)});
    }
    return draw(chart);
  };
  std::string out = draw(loss_chart(run));
  out += single("Learning rate", "", &StepMetrics::lr, 3, false);
  out += single("Gradient norm", "before clipping", &StepMetrics::grad_norm, 4, true);
  out += single("Speed", "tokens per second", &StepMetrics::tokens_per_s, 1, true);
  out += single("Memory", "MB of the process", &StepMetrics::rss_mb, 3, false);
  out += evaluation_charts(run);
  if (out.empty()) return "<p class=\"soft\">No steps have been recorded yet.</p>\n";
  std::string skipped;
  for (const StepMetrics& s : run.metrics.steps) {
    if (s.skipped) skipped += (skipped.empty() ? "" : ", ") + std::to_string(s.step);
  }
  if (skipped.size() > 400) skipped = skipped.substr(0, 400) + " …";
  if (!skipped.empty())
    skipped = "<p class=\"warn\">Steps left out by the guard: " + skipped + "</p>";
  return "<div class=\"charts\">" + out + "</div>\n" + skipped;
}

// --- samples, checkpoints, configuration -------------------------------------------------------

/// The entries of a folder by name, newest step (longest and highest number) first; none when it is
/// missing.
std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (!entry.path().filename().string().starts_with(".")) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end(), [](const fs::path& a, const fs::path& b) {
    const std::string x = a.filename(), y = b.filename();
    return x.size() != y.size() ? x.size() > y.size() : x > y;
  });
  return found;
}

std::string samples(const Run& run) {
  std::string out;
  size_t shown = 0;
  for (const fs::path& path : entries(run.folder / "samples")) {
    if (path.extension() != ".txt" || shown == kMostSamples) continue;
    std::string text;
    try {
      text = io::read_file(path, kMaxSample);
    } catch (const Error& error) {
      text = error.what();
    }
    if (text.size() > kShownSample) {
      size_t end = kShownSample;  // not inside a character
      while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
      text = text.substr(0, end) + " …";
    }
    out += std::string(shown == 0 ? "<details open>" : "<details>") + "<summary>" +
           escape_html(path.stem().string()) + "</summary><pre>" + escape_html(text) +
           "</pre></details>\n";
    ++shown;
  }
  return out.empty() ? "" : "<h2>Samples</h2>\n" + out;
}

double bytes_of(const fs::path& path) {
  double bytes = 0;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(path, ignored)) {
    if (entry.is_regular_file(ignored)) bytes += double(entry.file_size(ignored));
  }
  return bytes;
}

std::string checkpoints(const Run& run) {
  std::string rows;
  for (const fs::path& path : entries(run.folder / "checkpoints")) {
    std::error_code ignored;
    if (!fs::is_directory(path, ignored)) continue;
    rows += "<tr><td>" + escape_html("checkpoints/" + path.filename().string()) +
            "</td><td class=\"n\">" + format_bytes(bytes_of(path)) + "</td></tr>\n";
  }
  if (rows.empty()) return "";
  return "<h2>Checkpoints</h2><table><tr><th>folder</th><th class=\"n\">size</th></tr>\n" + rows +
         "</table>\n";
}

/// Rows of dotted keys.
void add_rows(const std::string& prefix, const io::Json& value, std::string& out) {
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      add_rows(prefix.empty() ? key : prefix + "." + key, member, out);
    }
    return;
  }
  out += "<tr><td>" + escape_html(prefix) + "</td><td>" + escape_html(show(value)) + "</td></tr>\n";
}

std::string configuration(const Run& run) {
  std::string out;
  const auto section = [&](const std::string& title, const io::Json& value) {
    std::string rows;
    add_rows("", value, rows);
    if (rows.empty()) return;
    out += "<section><h3>" + escape_html(title) + "</h3><table>" + rows + "</table></section>\n";
  };
  const io::Json config = find(run.json, {"config"});
  if (config.is_object()) {
    for (const auto& [group, value] : config.items()) {
      section(group, value.is_object() ? value : io::Json{{group, value}});
    }
  }
  section("model facts", find(run.json, {"model"}));
  section("host", find(run.json, {"host"}));
  if (out.empty()) return "";
  return "<h2>Configuration</h2><div class=\"columns\">" + out + "</div>\n";
}

}  // namespace

std::string report_page(const fs::path& run_folder) {
  const Run run = read_run(run_folder);
  return html_page(run_name(run_folder), header(run) + "<h2>Curves</h2>\n" + charts(run) +
                                             samples(run) + checkpoints(run) + configuration(run));
}

fs::path write_report(const fs::path& run_folder) {
  require_run(run_folder);
  const fs::path path = run_folder / "report.html";
  io::write_file_atomic(path, report_page(run_folder));
  return path;
}

}  // namespace adder::train
