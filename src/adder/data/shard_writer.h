// Writes a folder of token shards (shards.h) in bounded memory. The folder appears whole or not at
// all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adder/data/shard_manifest.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"
#include "adder/text/tokenizer.h"

namespace adder::data {

class ShardWriter {
 public:
  struct Settings {
    int64_t shard_tokens = int64_t{1} << 26;  // tokens in one file
    size_t piece_bytes = size_t{1} << 20;  // text encoded at a time, where the tokenizer can be cut
    std::function<void(int64_t)> progress;  // told the bytes of text encoded so far
  };

  /// `folder` must not exist. `tokenizer` must outlive the writer.
  ShardWriter(const std::filesystem::path& folder, const text::Tokenizer& tokenizer,
              Settings settings);
  ShardWriter(const std::filesystem::path& folder, const text::Tokenizer& tokenizer)
      : ShardWriter(folder, tokenizer, Settings{}) {}

  /// Encodes one document and ends it with eos where the tokenizer has one. An empty text adds
  /// nothing. Throws what Tokenizer::encode() throws; a part may be written by then, so the writer
  /// is to be given up.
  void add_document(std::string_view text);
  /// The same from ids: all tokens of one document, eos included. Throws kUsage for ids out of
  /// range.
  void add_document(std::span<const int32_t> ids);

  int64_t tokens() const { return manifest_.tokens; }

  /// Writes the rest, the documents, the tokenizer and the manifest, and puts the folder into
  /// place. Throws kUsage when nothing was added. `source` is kept in the manifest.
  ShardManifest finish(const std::string& source = {});

 private:
  void begin_document();
  void append(std::span<const int32_t> ids);
  void close_shard();

  const text::Tokenizer& tokenizer_;
  Settings settings_;
  io::AtomicDirectory directory_;
  ShardManifest manifest_;
  std::vector<uint64_t> documents_;
  std::unique_ptr<io::AtomicFile> file_;  // the shard being written
  std::unique_ptr<io::Hash128> hash_;
  int64_t shard_count_ = 0;  // tokens in it
};

}  // namespace adder::data
