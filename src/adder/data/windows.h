// How ranges of a token stream, one after another, are cut into windows of at most length + 1
// tokens (loader.h).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "adder/data/array.h"
#include "adder/data/shards.h"

namespace adder::data {

enum class PackMode { kPacked, kDocs };

/// "packed" or "docs"; throws kConfig else.
PackMode parse_pack_mode(std::string_view name);

class Windows {
 public:
  /// `stride`: tokens from the begin of a window to that of the next, 1 to length; 0: length.
  /// Throws kConfig for length < 1, another stride, or a range outside the stream.
  Windows(const ShardSet& shards, const std::vector<TokenRange>& ranges, int64_t length,
          PackMode mode, int64_t stride = 0);

  bool has_seq_idx() const { return has_seq_idx_; }

  /// Where the first window of an epoch starts, relative to the ranges: [0, stride), 0 in `docs`.
  int64_t phase(uint64_t seed, uint64_t epoch) const;

  /// Windows from `phase` on.
  int64_t count(int64_t phase) const;

  /// The tokens of window `index` in [0, count(phase)), 2 to length + 1 of them. In `packed` it may
  /// go on from one range into the next.
  std::vector<TokenRange> window(int64_t index, int64_t phase) const;

  /// Writes window `index` into row `row` of "tokens", "targets" and, where the batch has it,
  /// "seq_idx" (loader.h). False when it has no target.
  bool fill(Batch& batch, int64_t row, int64_t index, int64_t phase) const;

 private:
  struct Document {
    TokenRange tokens;     // clipped to its range
    int64_t first_window;  // number of its first window
  };
  struct Tokens;
  void list_documents(TokenRange range);
  Tokens read(const std::vector<TokenRange>& window) const;

  const ShardSet* shards_;
  std::vector<TokenRange> ranges_;  // none is empty
  int64_t size_ = 0;                // tokens in them
  int64_t length_, stride_;
  PackMode mode_;
  bool has_seq_idx_ = false;
  std::vector<Document> documents_;  // `docs` only: those that give a window
  int64_t document_windows_ = 0;     // `docs` only
};

}  // namespace adder::data
