// manifest.json of a folder of token shards (shards.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "adder/io/json.h"

namespace adder::data {

struct ShardFile {
  std::string file;   // a name in the folder
  int64_t count = 0;  // elements
  std::string hash;   // XXH3-128 of the file, 32 hex digits
};

/// A run of documents that belong together: a corpus of a mixture, or what is held out.
struct ShardPart {
  std::string name;  // what it was made from
  bool held_out = false;
  int64_t documents = 0;
  int64_t tokens = 0;
  int64_t source_bytes = 0;  // bytes of text, for bits per byte; 0 for ids
};

struct ShardManifest {
  static constexpr int64_t kVersion = 3;

  int token_bytes = 2;  // 2: u16, 4: u32
  int64_t tokens = 0;   // of all shards
  int64_t vocab_size = 0;
  std::optional<int32_t> eos_id;
  std::string tokenizer_kind;
  std::string tokenizer_hash;      // Tokenizer::hash()
  std::string source;              // what the shards were made from, for reuse; may be empty
  std::vector<std::string> notes;  // what the user should know of how they were made
  std::vector<ShardPart> parts;    // one after another; at least one
  std::vector<ShardFile> shards;
  ShardFile documents;               // u64 each
  std::optional<ShardFile> answers;  // two u64 each

  io::Json to_json() const;
  /// Throws kFormat with the field, kUnsupported for another version.
  static ShardManifest read(const std::filesystem::path& folder);
};

inline constexpr const char* kManifestName = "manifest.json";

}  // namespace adder::data
