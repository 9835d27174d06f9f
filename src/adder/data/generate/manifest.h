// The record of what a language model was asked and what became of it: OUT/manifest.jsonl, a line
// of JSON for each text. It only grows while texts are made, so that a killed run loses nothing;
// of several lines for one request the last one counts.
//
//   {"list":"words","item":"apple","template":"story","seed":12,"model":"llama3.1",
//    "request":"...","status":"done","file":"words/story/apple.txt","xxh3_128":"...","tokens":131}
//
// "request" is the hash of the prompt and the system message, "xxh3_128" that of the text.
//
// "status": "done"; "rejected", with a "reason" (the text is not kept, and not asked for again); or
// "failed", with a "reason" (it is asked for again).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "adder/data/generate/llm_protocol.h"
#include "adder/data/generate/requests.h"

namespace adder::data {

struct ManifestEntry {
  std::string list, item, name;  // name: "template" in the file
  int64_t seed = 0;
  std::string model;
  std::string request;
  std::string status;
  std::string reason;
  std::string file;
  std::string hash;
  std::optional<int64_t> tokens;

  static ManifestEntry of(const GenerateTask& task, const LlmServer& server);
  std::string key() const { return list + '\n' + item + '\n' + name; }
  /// The same words to the same model with the same seed.
  bool answers(const ManifestEntry& asked) const {
    return key() == asked.key() && seed == asked.seed && model == asked.model &&
           request == asked.request;
  }
};

class GenerateManifest {
 public:
  /// Reads what is there. A last line without its newline gets it where it is whole; half a one (a
  /// run was killed as it wrote it) is taken off; any other line that is no entry throws kFormat
  /// with its number.
  explicit GenerateManifest(std::filesystem::path file);
  ~GenerateManifest();
  GenerateManifest(const GenerateManifest&) = delete;
  GenerateManifest& operator=(const GenerateManifest&) = delete;

  /// The last entry of a key; null when there is none.
  const ManifestEntry* find(const std::string& key) const;
  /// Whether any entry of a key, not the last alone, has this hash of a text.
  bool wrote(const std::string& key, const std::string& hash) const {
    return written_.contains(key + '\n' + hash);
  }
  /// Writes a line, all of it or none, and flushes it to the disk.
  void add(const ManifestEntry& entry);

 private:
  void read(const std::string& text);
  void take(ManifestEntry entry);

  std::filesystem::path file_;
  std::unordered_set<std::string> written_;  // key, newline, hash
  std::unordered_map<std::string, ManifestEntry> entries_;
  int descriptor_ = -1;
};

}  // namespace adder::data
