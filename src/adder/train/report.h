// The page that shows a run: RUN/report.html, one file with everything in it.
#pragma once

#include <filesystem>
#include <string>

namespace adder::train {

/// The page: what was trained, final losses, curves of loss, learning rate, gradient norm, speed
/// and memory, samples, checkpoints and the whole configuration. Reads run.json, metrics.jsonl,
/// samples/ and checkpoints/; whatever is missing or malformed is left out, and the page says so.
/// It loads nothing from anywhere, and follows the reader's light or dark scheme.
std::string report_page(const std::filesystem::path& run_folder);

/// Writes report_page() to RUN/report.html, atomically, and gives its path. kNotFound when the
/// folder is not there or holds neither run.json nor metrics.jsonl.
std::filesystem::path write_report(const std::filesystem::path& run_folder);

}  // namespace adder::train
