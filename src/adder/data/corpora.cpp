#include "adder/data/corpora.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cmath>
#include <set>
#include <string>

#include "adder/base/error.h"
#include "adder/data/inputs.h"
#include "adder/data/shard_manifest.h"
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
  if (options.max_documents < 0) {
    refuse("max_documents", fmt::format("{} is no number of documents", options.max_documents),
           "give 1 or more, or 0 for all");
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

/// Which file it is, however it was reached; empty for one that cannot be looked at (reading says
/// why).
std::string identity(const fs::path& file) {
  struct stat found {};
  if (stat(file.c_str(), &found) != 0) return {};
  return fmt::format("{} {}", found.st_dev, found.st_ino);
}

/// Removes files of `seen` from `files`, remembers the others there, and says how many went.
size_t erase_seen(std::vector<fs::path>& files, std::set<std::string>& seen) {
  return std::erase_if(files, [&](const fs::path& file) {
    const std::string name = identity(file);
    return !name.empty() && !seen.insert(name).second;
  });
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
  InputFiles held_out = find_inputs(options.val_text);
  corpora.held_out = std::move(held_out.files);
  std::set<std::string> held_out_files, trained_files;
  erase_seen(corpora.held_out, held_out_files);
  int64_t empty = held_out.empty;
  for (const std::string& entry : options.text) {
    InputFiles found = find_inputs({entry});
    Corpus corpus{
        .name = entry, .files = std::move(found.files), .max_documents = options.max_documents};
    empty += found.empty;
    std::erase_if(corpus.files,
                  [&](const fs::path& file) { return held_out_files.count(identity(file)); });
    if (corpus.files.empty()) {
      refuse("val_text", fmt::format("it holds out all of \"{}\"", entry),
             "leave some of it to train on");
    }
    if (!options.weights.empty()) trained_files.clear();  // each entry has its own share
    if (const size_t twice = erase_seen(corpus.files, trained_files)) {
      corpora.notes.push_back(
          fmt::format("\"{}\": {} named twice in data.text, read once", entry,
                      twice == 1 ? "a file is" : fmt::format("{} files are", twice)));
    }
    if (!corpus.files.empty()) corpora.text.push_back(std::move(corpus));
  }
  if (empty > 0) {
    corpora.notes.push_back(
        fmt::format("{} passed over",
                    empty == 1 ? "an empty file was" : fmt::format("{} empty files were", empty)));
  }
  return corpora;
}

std::optional<fs::path> shard_folder(const DataOptions& options) {
  std::error_code ignored;
  for (const std::string& entry : options.text) {
    if (!fs::exists(fs::path(entry) / kManifestName, ignored)) continue;
    if (options.text.size() == 1) return entry;
    refuse("text", fmt::format("\"{}\" holds token shards, the others do not", entry),
           "give one folder of shards alone, or text files");
  }
  return std::nullopt;
}

double tail_share(const DataOptions& options) {
  return options.val_text.empty() && options.val_documents == 0 ? options.val_fraction : 0;
}

bool is_held_out(std::string_view first_piece, double share) {
  if (share <= 0) return false;
  const std::string hash = io::hash128_hex(io::as_bytes(first_piece));
  const auto number = static_cast<double>(std::stoull(hash.substr(0, 13), nullptr, 16));
  return number * 0x1p-52 < share;  // 13 hex digits: 52 bits
}

}  // namespace adder::data
