// A stream of token ids on disk: memory-mapped, hashed, cut into files of bounded size.
//
//   FOLDER/manifest.json       written last; see shard_manifest.h
//   FOLDER/tokens-00000.bin    ids, little endian, u16 where the vocabulary allows it, else u32
//   FOLDER/documents.bin       u64 each: where document i begins in the stream
//   FOLDER/answers.bin         conversations only; two u64 each: where an answer begins and ends
//   FOLDER/tokenizer.json      what the ids mean (of words: word_tokenizer.json)
//
// Documents stand one after another, each after the tokenizer's bos and before its eos where it has
// them; they count as the document's first and last token.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "adder/data/shard_manifest.h"
#include "adder/io/file.h"

namespace adder::data {

/// A range [begin, end) of positions in the stream.
struct TokenRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
  bool operator==(const TokenRange&) const = default;
};

/// An open folder of shards, read-only. Reading is safe from several threads.
class ShardSet {
 public:
  /// Checks the manifest, that each file is there and its size is the promised one; and the hash of
  /// each file when it is first touched. Throws kNotFound, kFormat (malformed, truncated, changed)
  /// or kUnsupported.
  static ShardSet open(const std::filesystem::path& folder);

  /// Checks every hash now, and that every id is below the vocabulary's size. Throws kFormat naming
  /// the file.
  void verify() const;

  int64_t size() const { return manifest_.tokens; }  // tokens in the stream
  TokenRange all() const { return {0, size()}; }
  const ShardManifest& manifest() const { return manifest_; }
  const std::filesystem::path& folder() const { return folder_; }

  /// The id at a position in [0, size()).
  int32_t token(int64_t position) const;
  /// The ids [begin, begin + out.size()).
  void copy(int64_t begin, std::span<int32_t> out) const;
  std::vector<int32_t> copy(TokenRange range) const;

  int64_t document_count() const { return manifest_.documents.count; }
  /// All tokens of a document, its eos included. Documents are never empty.
  TokenRange document(int64_t index) const;
  /// The document that holds a position.
  int64_t document_at(int64_t position) const;

  /// Conversations, of which only the answers are learnt.
  bool has_answers() const { return answers_.has_value(); }
  /// Sets out[i] where position begin + i is part of an answer. has_answers() only.
  void copy_answers(int64_t begin, std::span<bool> out) const;

 private:
  struct Shard {
    io::MappedFile file;
    int64_t begin;  // position of its first token
    std::unique_ptr<std::atomic<bool>> verified;
  };
  const Shard& shard_at(int64_t position) const;
  void verify(const Shard& shard) const;

  std::filesystem::path folder_;
  ShardManifest manifest_;
  std::vector<Shard> shards_;
  std::optional<io::MappedFile> documents_;  // always there after open()
  std::optional<io::MappedFile> answers_;
};

}  // namespace adder::data
