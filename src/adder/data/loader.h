// Batches for next-token prediction out of ranges of a token stream.
//
// Modes:
//   packed  windows of length + 1 tokens follow each other through the ranges and cross documents.
//           `seq_idx` numbers the documents within a row from 0, and the target of a document's
//           last token is ignored: no prediction reaches over a border. Ranges within one document
//           need no seq_idx and give none.
//   docs    windows begin at document starts and never cross a border. The last of a document is
//           padded: seq_idx -1, target -100, token 0. Documents of one token have nothing to
//           predict and are left out.
// With a stride below the length training windows overlap: an epoch has each target up to
// ceil(length / stride) times, each time with another amount of text before it. A window that
// begins inside a document begins with no state, as without a stride, and seq_idx counts from 0 in
// every window. A loader for evaluation is made without a stride, so that each target counts once.
//
// Of conversations only the answers are targets; windows without any are passed over in training.
//
// Training order: a portion's epoch visits each of its windows once, in the order base/rng.h
// permuted(). In `packed` the windows of an epoch start at a phase in [0, stride) drawn for that
// epoch, so that borders move; up to length - 1 tokens at each end of the range are then left out
// of it. A batch that an epoch cannot fill goes on with the next one, so every window is used and
// few windows still make full batches.
//
// Mixtures: the portion of row n of the training is drawn with the weights out of the n-th number
// of a random stream; each portion goes through its own epochs.
#pragma once

#include <cstdint>
#include <vector>

#include "adder/data/array.h"
#include "adder/data/shards.h"
#include "adder/data/split.h"
#include "adder/data/windows.h"
#include "adder/io/json.h"

namespace adder::data {

struct LoaderOptions {
  int64_t batch_size = 8;
  int64_t length = 256;
  int64_t seed = 0;
  PackMode mode = PackMode::kPacked;
  int64_t stride = 0;  // tokens from one training window to the next: 1 to length; 0: length
};

/// Target value that the loss leaves out.
inline constexpr int64_t kIgnoreTarget = -100;

class TokenLoader {
 public:
  /// `shards` must outlive the loader. Throws kConfig for sizes below 1, for a range outside the
  /// stream, and for a portion that holds no window, naming the counts.
  TokenLoader(const ShardSet& shards, const std::vector<Portion>& portions,
              const LoaderOptions& options);
  TokenLoader(const ShardSet& shards, TokenRange range, const LoaderOptions& options)
      : TokenLoader(shards, std::vector<Portion>{{.ranges = {range}}}, options) {}

  /// The next training batch: "tokens" (batch_size, length) i32, "targets" (batch_size, length)
  /// i64, and where has_seq_idx() "seq_idx" (batch_size, length) i32. Throws kConfig where a
  /// portion of conversations has no window with a part of an answer.
  Batch next();

  bool has_seq_idx() const;

  /// Windows in an epoch of a portion (it may differ by one between epochs in `packed`).
  int64_t windows(int64_t epoch, size_t portion = 0) const;
  /// The window to be taken next: {"rows", "portions": [{"epoch", "index", "windows"}, ...]}.
  io::Json cursor() const;
  /// Goes to where cursor() was taken; batches continue exactly there. Throws kFormat for a cursor
  /// that does not fit.
  void seek(const io::Json& cursor);
  /// Epochs passed of a portion, as a fraction.
  double progress(size_t portion = 0) const;

  /// For evaluation: windows without a phase, in order, one portion after another. A tail shorter
  /// than a window is left out in `packed`.
  int64_t eval_windows() const;
  /// Windows [first, first + count) as one batch of `count` rows; 0 <= first, first + count <=
  /// eval_windows().
  Batch eval_batch(int64_t first, int64_t count) const;

 private:
  /// One portion and how far it has been read.
  struct Source {
    Windows windows;
    double share;       // of this portion and those before it, of 1
    int64_t phase = 0;  // of this epoch
    int64_t count = 0;  // its windows
    int64_t epoch = 0;
    int64_t index = 0;
  };
  void begin_epoch(Source& source, int64_t epoch) const;
  Source& draw_source();
  void fill_next(Source& source, Batch& batch, int64_t row) const;
  Batch make_batch(int64_t rows) const;

  LoaderOptions options_;
  std::vector<Source> sources_;
  int64_t rows_ = 0;  // given by next()
};

}  // namespace adder::data
