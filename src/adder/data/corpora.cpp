#include "adder/data/corpora.h"

#include <fmt/format.h>

#include <cmath>
#include <set>
#include <string>

#include "adder/base/error.h"
#include "adder/data/inputs.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"

namespace adder::data {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const char* key, const std::string& what, const std::string& next) {
  throw Error(ErrorKind::kConfig,
              {.what = what, .where = std::string("data.") + key, .next = next});
}

void check(const DataOptions& options) {
  if (options.text.empty()) refuse("text", "no text is given", "name one text file or more");
  if (!options.weights.empty() && options.weights.size() != options.text.size()) {
    refuse("weights",
           fmt::format("there are {} weights for {} texts", options.weights.size(),
                       options.text.size()),
           "give one for each entry of data.text, or none");
  }
  for (const double weight : options.weights) {
    if (weight > 0 && std::isfinite(weight)) continue;
    refuse("weights", fmt::format("{} is no weight of a text", weight),
           "give numbers above 0; leave a text out of data.text to give it none");
  }
  if (!(options.val_documents >= 0 && options.val_documents < 1)) {
    refuse("val_documents", fmt::format("{} is no share of documents", options.val_documents),
           "give a number of at least 0 and below 1");
  }
  if (options.val_documents > 0 && !options.val_text.empty()) {
    refuse("val_documents", "documents are held out in two ways",
           "give data.val_text or data.val_documents");
  }
  if (!(options.val_fraction >= 0 && options.val_fraction < 1)) {
    refuse("val_fraction", fmt::format("{} is no share of the text", options.val_fraction),
           "give a number of at least 0 and below 1");
  }
}

/// One name for one file, however it was reached.
fs::path identity(const fs::path& file) {
  std::error_code failed;
  const fs::path canonical = fs::weakly_canonical(file, failed);
  return failed ? file : canonical;
}

}  // namespace

std::vector<fs::path> Corpora::text_files() const {
  std::vector<fs::path> files;
  for (const Corpus& corpus : text) {
    files.insert(files.end(), corpus.files.begin(), corpus.files.end());
  }
  return files;
}

std::vector<fs::path> Corpora::all_files() const {
  auto files = text_files();
  files.insert(files.end(), held_out.begin(), held_out.end());
  return files;
}

Corpora list_corpora(const DataOptions& options) {
  check(options);
  Corpora corpora;
  corpora.held_out = list_inputs(options.val_text);
  std::set<fs::path> held_out;
  for (const fs::path& file : corpora.held_out) held_out.insert(identity(file));
  for (const std::string& entry : options.text) {
    Corpus corpus{.name = entry, .files = list_inputs({entry})};
    std::erase_if(corpus.files,
                  [&](const fs::path& file) { return held_out.count(identity(file)); });
    if (corpus.files.empty()) {
      refuse("val_text", fmt::format("it holds out all of \"{}\"", entry),
             "leave some of it to train on");
    }
    corpora.text.push_back(std::move(corpus));
  }
  return corpora;
}

bool is_held_out(std::string_view first_piece, double share) {
  if (share <= 0) return false;
  const std::string hash = io::hash128_hex(io::as_bytes(first_piece));
  const auto number = static_cast<double>(std::stoull(hash.substr(0, 13), nullptr, 16));
  return number * 0x1p-52 < share;  // 13 hex digits: 52 bits
}

}  // namespace adder::data
