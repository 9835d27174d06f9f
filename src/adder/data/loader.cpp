#include "adder/data/loader.h"

#include <fmt/format.h>

#include "adder/base/error.h"
#include "adder/base/rng.h"

namespace adder::data {

TokenLoader::TokenLoader(const ShardSet& shards, TokenRange range, const LoaderOptions& options)
    : options_(options), windows_(shards, range, options.length, options.mode) {
  if (options_.batch_size < 1 || options_.batch_size > INT32_MAX / options_.length) {
    throw Error(ErrorKind::kConfig,
                {.what = fmt::format("a batch of {} windows of {} tokens", options_.batch_size,
                                     options_.length),
                 .why = "it must hold at least one window and fewer than 2^31 tokens"});
  }
  if (windows_.count(0) < 1) {
    const bool packed = options_.mode == PackMode::kPacked;
    throw Error(
        ErrorKind::kConfig,
        {.what = "the text is too short for one window",
         .why =
             packed
                 ? fmt::format("this part of it has {} tokens, a window of length {} needs {}",
                               range.size(), options_.length, options_.length + 1)
                 : fmt::format("no document in its {} tokens has two tokens or more", range.size()),
         .next = packed ? "give more text, use shorter windows, or change the share held out"
                        : "give more text"});
  }
  begin_epoch(0);
}

void TokenLoader::begin_epoch(int64_t epoch) {
  epoch_ = epoch;
  index_ = 0;
  phase_ = windows_.phase(static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(epoch));
  count_ = windows_.count(phase_);
}

Batch TokenLoader::next() {
  Batch batch = windows_.make_batch(options_.batch_size);
  for (int64_t row = 0; row < options_.batch_size; ++row) {
    if (index_ == count_) begin_epoch(epoch_ + 1);
    const int64_t window = permuted(index_, count_, static_cast<uint64_t>(options_.seed),
                                    static_cast<uint64_t>(epoch_));
    windows_.fill(batch, row, window, phase_);
    ++index_;
  }
  return batch;
}

int64_t TokenLoader::windows(int64_t epoch) const {
  return windows_.count(
      windows_.phase(static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(epoch)));
}

io::Json TokenLoader::cursor() const {
  return {{"epoch", epoch_}, {"index", index_}, {"windows", count_}};
}

void TokenLoader::seek(const io::Json& cursor) {
  const io::JsonView view(cursor, "data cursor");
  const int64_t epoch = view.at("epoch").as_integer(0, UINT32_MAX);
  const int64_t count = windows(epoch);
  const int64_t index = view.at("index").as_integer(0);
  if (view.at("windows").as_integer() != count || index > count) {
    throw Error(ErrorKind::kFormat,
                {.what = "the place in the data does not fit the data",
                 .where = fmt::format("data cursor {}", cursor.dump()),
                 .why = fmt::format("epoch {} has {} windows", epoch, count),
                 .next = "resume with the text, window length and seed that the run began with"});
  }
  begin_epoch(epoch);
  index_ = index;
}

double TokenLoader::progress() const {
  return static_cast<double>(epoch_) + static_cast<double>(index_) / static_cast<double>(count_);
}

int64_t TokenLoader::eval_windows() const {
  return windows_.count(0);
}

Batch TokenLoader::eval_batch(int64_t first, int64_t count) const {
  if (first < 0 || count < 1 || count > eval_windows() - first) {
    throw Error(ErrorKind::kInternal, {.what = fmt::format("windows [{}, {}) of {} were asked for",
                                                           first, first + count, eval_windows())});
  }
  Batch batch = windows_.make_batch(count);
  for (int64_t row = 0; row < count; ++row) windows_.fill(batch, row, first + row, 0);
  return batch;
}

}  // namespace adder::data
