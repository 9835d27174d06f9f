// Reads the documents of corpora for whoever makes a tokenizer or token shards of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "adder/data/corpora.h"
#include "adder/data/document_stream.h"
#include "adder/data/left_out.h"
#include "adder/data/shard_writer.h"
#include "adder/text/chat_template.h"

namespace adder::data {

/// Told how far a piece of the work is: "hashing", "held-out text", "reading", "learning tokens",
/// "encoding"; the unit is bytes of the files (tokens for learning).
using ProgressCallback = std::function<void(std::string_view phase, int64_t done, int64_t total)>;

/// Which documents: all, those to be trained on, or those that data.val_documents holds out.
enum class Take { kAll, kTrained, kHeldOut };

class CorpusReader {
 public:
  using Files = std::vector<std::filesystem::path>;

  /// Throws kConfig for an unknown escape in data.separator, and what load_chat_template() throws.
  CorpusReader(const DataOptions& options, ProgressCallback progress);

  /// Documents that begin as one of `files` does (the first TextPiece, all of most documents) are
  /// not taken with kTrained from now on. A phase of its own; nothing for no files.
  void hold_out(const Files& files);
  /// Documents that encode() left out for that.
  int64_t copies_left_out() const { return copies_left_out_; }

  /// What follows reads `files`, in all of its calls together.
  void begin_phase(std::string_view phase, const Files& files);

  /// Calls visit(piece) for the text of each document taken; a conversation's text is what the
  /// template makes of it. Of a corpus only its first max_documents are looked at.
  void for_each_text(const Corpus& corpus, Take take,
                     const std::function<void(const TextPiece&)>& visit);
  void for_each_text(const Files& files, Take take,
                     const std::function<void(const TextPiece&)>& visit) {
    for_each_text(Corpus{.files = files}, take, visit);
  }
  /// Adds the documents taken to the part of `writer` that is begun. How many they were.
  int64_t encode(const Corpus& corpus, Take take, const text::Tokenizer& tokenizer,
                 ShardWriter& writer);

  /// Characters that encode() left out, in words; empty where there were none.
  std::string left_out_note() const { return left_out_.note(); }

  /// Null where no conversations are read.
  const text::ChatTemplate* chat() const { return chat_.get(); }

 private:
  /// Whether the text decides what takes() says.
  bool asks_text(Take take) const;
  bool takes(std::string_view first_piece, Take take);
  void tell(int64_t bytes_read) const;
  /// visit(conversation, text): the text is rendered where `want_text` or takes() asks for it.
  template <typename Visit>
  void for_each_conversation(const Corpus& corpus, Take take, bool want_text, Visit visit);

  DocumentOptions documents_;
  double val_documents_;
  std::unordered_set<std::string> held_out_;  // hashes of first pieces
  int64_t copies_left_out_ = 0;
  LeftOut left_out_;
  std::shared_ptr<const text::ChatTemplate> chat_;
  ProgressCallback progress_;
  std::string phase_;
  int64_t done_ = 0;  // bytes of files that this phase is through with
  int64_t total_ = 0;
};

}  // namespace adder::data
