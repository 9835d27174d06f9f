// What pages about runs are made from: a run as it was read, and the frame of a page.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <string>
#include <vector>

#include "adder/io/json.h"
#include "adder/train/metrics.h"

namespace adder::train {

/// Everything of a run that could be read, and what could not.
struct Run {
  std::filesystem::path folder;
  io::Json json = io::Json::object();  // run.json
  Metrics metrics;
  std::vector<std::string> problems;
};

Run read_run(const std::filesystem::path& folder);

/// kNotFound when the folder is not there or holds neither run.json nor metrics.jsonl.
void require_run(const std::filesystem::path& folder);

/// The last part of the folder's path.
std::string run_name(const std::filesystem::path& folder);

/// The member at a way of keys, or null.
io::Json find(const io::Json& json, std::initializer_list<const char*> way);

/// Tokens a second; NaN when no step says.
double median_speed(const std::vector<StepMetrics>& steps);

/// A whole page: style, script and policy (it loads nothing from anywhere) around `body`.
std::string html_page(const std::string& title, const std::string& body);

}  // namespace adder::train
