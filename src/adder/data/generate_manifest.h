// The record of what a language model was asked and what became of it: OUT/manifest.jsonl, a line
// of JSON for each text. It only grows while texts are made, so that a killed run loses nothing;
// of several lines for one request the last one counts.
//
//   {"list":"words","item":"apple","template":"story","seed":12,"model":"llama3.1",
//    "status":"done","file":"words/story/apple.txt","xxh3_128":"...","tokens":131}
//
// "status": "done"; "rejected", with a "reason" (the text is not kept, and not asked for again); or
// "failed", with a "reason" (it is asked for again).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <unordered_map>

#include "adder/data/generate_requests.h"

namespace adder::data {

struct ManifestEntry {
  std::string list, item, name;  // name: "template" in the file
  int64_t seed = 0;
  std::string model;
  std::string status;
  std::string reason;
  std::string file;
  std::string hash;
  std::optional<int64_t> tokens;

  static ManifestEntry of(const GenerateTask& task, const std::string& model);
  std::string key() const { return list + '\n' + item + '\n' + name; }
  /// The same request of the same model with the same seed.
  bool answers(const GenerateTask& task, const std::string& asked_model) const {
    return key() == task.key() && seed == task.seed && model == asked_model;
  }
};

class GenerateManifest {
 public:
  /// Reads what is there. A last line without its end (a run was killed as it wrote it) is taken
  /// off; any other line that is no entry throws kFormat with its number.
  explicit GenerateManifest(std::filesystem::path file);
  ~GenerateManifest();
  GenerateManifest(const GenerateManifest&) = delete;
  GenerateManifest& operator=(const GenerateManifest&) = delete;

  /// The last entry of a key; null when there is none.
  const ManifestEntry* find(const std::string& key) const;
  const std::unordered_map<std::string, ManifestEntry>& entries() const { return entries_; }
  /// Writes a line, all of it or none, and flushes it to the disk.
  void add(const ManifestEntry& entry);

 private:
  std::filesystem::path file_;
  std::unordered_map<std::string, ManifestEntry> entries_;
  int descriptor_ = -1;
};

}  // namespace adder::data
