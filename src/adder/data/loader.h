// Batches for next-token prediction out of a range of a token stream.
//
// Modes:
//   packed  windows of length + 1 tokens follow each other through the range and cross documents.
//   `seq_idx`
//           numbers the documents within a row from 0, and the target of a document's last token is
//           ignored: no prediction reaches over a border. A range within one document needs no
//           seq_idx and gives none.
//   docs    windows begin at document starts and never cross a border. The last of a document is
//   padded:
//           seq_idx -1, target -100, token 0. Documents of one token have nothing to predict and
//           are left out.
//
// Training order: an epoch visits each of its windows once, in the order base/rng.h permuted(). In
// `packed` the windows of an epoch start at a phase in [0, length) drawn for that epoch, so that
// borders move; up to length - 1 tokens at each end of the range are then left out of it. A batch
// that an epoch cannot fill goes on with the next one, so every window is used and few windows
// still make full batches.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "adder/data/array.h"
#include "adder/data/shards.h"
#include "adder/data/windows.h"
#include "adder/io/json.h"

namespace adder::data {

struct LoaderOptions {
  int64_t batch_size = 8;
  int64_t length = 256;
  int64_t seed = 0;
  PackMode mode = PackMode::kPacked;
};

/// Target value that the loss leaves out.
inline constexpr int64_t kIgnoreTarget = -100;

class TokenLoader {
 public:
  /// `shards` must outlive the loader. Throws kConfig for sizes below 1, for a range outside the
  /// stream, and for a range that holds no window, naming the counts.
  TokenLoader(const ShardSet& shards, TokenRange range, const LoaderOptions& options);

  /// The next training batch: "tokens" (batch_size, length) i32, "targets" (batch_size, length)
  /// i64, and where has_seq_idx() "seq_idx" (batch_size, length) i32.
  Batch next();

  bool has_seq_idx() const { return windows_.has_seq_idx(); }

  /// Windows in an epoch (it may differ by one between epochs in `packed`).
  int64_t windows(int64_t epoch) const;
  /// The window to be taken next: {"epoch", "index", "windows"}.
  io::Json cursor() const;
  /// Goes to where cursor() was taken; batches continue exactly there. Throws kFormat for a cursor
  /// that does not fit.
  void seek(const io::Json& cursor);
  /// Epochs passed, as a fraction.
  double progress() const;

  /// For evaluation: windows without a phase, in order. A tail shorter than a window is left out in
  /// `packed`.
  int64_t eval_windows() const;
  /// Windows [first, first + count) as one batch of `count` rows; 0 <= first, first + count <=
  /// eval_windows().
  Batch eval_batch(int64_t first, int64_t count) const;

 private:
  void begin_epoch(int64_t epoch);

  LoaderOptions options_;
  Windows windows_;
  int64_t phase_ = 0;  // of this epoch
  int64_t count_ = 0;  // its windows
  int64_t epoch_ = 0;
  int64_t index_ = 0;
};

}  // namespace adder::data
