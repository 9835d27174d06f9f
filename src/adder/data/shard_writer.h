// Writes a folder of token shards (shards.h) in bounded memory. The folder appears whole or not at
// all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "adder/data/piece_encoder.h"
#include "adder/data/shard_manifest.h"
#include "adder/io/file.h"
#include "adder/text/tokenizer.h"

namespace adder::data {

class ShardFileWriter;

class ShardWriter {
 public:
  struct Settings {
    int64_t shard_tokens = int64_t{1} << 26;  // tokens in one file
    size_t piece_bytes = kPieceBytes;  // text encoded at a time, where the tokenizer can be cut
  };

  /// `folder` must not exist. `tokenizer` must outlive the writer.
  ShardWriter(const std::filesystem::path& folder, const text::Tokenizer& tokenizer,
              Settings settings);
  ShardWriter(const std::filesystem::path& folder, const text::Tokenizer& tokenizer)
      : ShardWriter(folder, tokenizer, Settings{}) {}
  ~ShardWriter();

  /// The documents that follow belong together. A part without documents leaves no trace. Nameless,
  /// for training, where this is not called.
  void begin_part(const std::string& name, bool held_out);

  /// Encodes the next part of a document, with the tokenizer's bos before the first one and its eos
  /// after the last, where it has them. Throws what PieceEncoder::feed() throws; the writer is to
  /// be given up then.
  void add_text(const TextPiece& piece);
  /// PieceEncoder::take_left_out() of these texts.
  LeftOut take_left_out() { return encoder_.take_left_out(); }
  /// A whole document. An empty one adds nothing.
  void add_document(std::string_view text);
  /// The same from ids: all tokens of one document, bos and eos included. `answers`: empty, or one
  /// for each id, not 0 where it is part of an answer to be learnt; either all documents of the
  /// folder have them or none. Throws kUsage for ids out of range.
  void add_document(std::span<const int32_t> ids, std::span<const uint8_t> answers = {});

  int64_t tokens() const { return manifest_.tokens; }

  /// Writes a small file more into the folder.
  void add_file(const std::string& name, std::string_view content);

  /// What the user should know, kept in the manifest. Nothing for an empty one.
  void add_note(const std::string& note);

  /// Writes the rest, the documents, the tokenizer and the manifest, and puts the folder into
  /// place. Throws kUsage when nothing was added. `source` is kept in the manifest.
  ShardManifest finish(const std::string& source = {});

 private:
  void begin_document() { document_begins_ = true; }
  void append(std::span<const int32_t> ids);
  void append_answers(int64_t begin, std::span<const uint8_t> answers);
  void close_shard();

  const text::Tokenizer& tokenizer_;
  Settings settings_;
  io::AtomicDirectory directory_;
  ShardManifest manifest_;
  PieceEncoder encoder_;
  bool document_begins_ = false;            // with the next token
  std::unique_ptr<ShardFileWriter> shard_;  // being written
  std::unique_ptr<ShardFileWriter> documents_;
  std::unique_ptr<ShardFileWriter> answers_;
};

}  // namespace adder::data
