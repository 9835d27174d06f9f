#include "adder/train/report_run.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "adder/base/error.h"
#include "adder/train/report_html.h"
#include "adder/train/report_style.h"

namespace adder::train {

namespace fs = std::filesystem;

Run read_run(const fs::path& folder) {
  Run run{.folder = folder};
  const auto attempt = [&](const std::function<void()>& read) {
    try {
      read();
    } catch (const Error& error) {
      run.problems.emplace_back(error.what());
    }
  };
  attempt([&] {
    io::Json json = io::read_json_file(folder / "run.json");
    if (json.is_object()) run.json = std::move(json);
  });
  attempt([&] { run.metrics = read_metrics(folder / "metrics.jsonl"); });
  return run;
}

/// The member at a way of keys, or null.
io::Json find(const io::Json& json, std::initializer_list<const char*> way) {
  const io::Json* at = &json;
  for (const char* key : way) {
    if (!at->is_object() || !at->contains(key)) return {};
    at = &at->at(key);
  }
  return *at;
}

void require_run(const fs::path& run_folder) {
  if (!fs::exists(run_folder / "run.json") && !fs::exists(run_folder / "metrics.jsonl")) {
    throw Error(ErrorKind::kNotFound,
                {.what = "this is not the folder of a run",
                 .where = run_folder.string(),
                 .why = "it holds neither run.json nor metrics.jsonl",
                 .next = "give the folder that `adder train` wrote (its --run)"});
  }
}

std::string run_name(const fs::path& folder) {
  const fs::path full = fs::absolute(folder).lexically_normal();
  return full.filename().empty() ? full.parent_path().filename() : full.filename();
}

double median_speed(const std::vector<StepMetrics>& steps) {
  std::vector<double> speeds;
  for (const StepMetrics& s : steps) {
    if (s.tokens_per_s > 0) speeds.push_back(s.tokens_per_s);
  }
  if (speeds.empty()) return NAN;
  std::nth_element(speeds.begin(), speeds.begin() + int64_t(speeds.size() / 2), speeds.end());
  return speeds[speeds.size() / 2];
}

std::string html_page(const std::string& title, const std::string& body) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
         "style-src 'unsafe-inline'; script-src 'unsafe-inline'\"><title>" +
         escape_html(title) + "</title><style>" + kReportStyle + "</style></head><body>\n" + body +
         "<script>" + kReportScript + "</script></body></html>\n";
}

}  // namespace adder::train
