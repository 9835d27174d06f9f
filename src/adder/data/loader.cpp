#include "adder/data/loader.h"

#include <fmt/format.h>

#include <algorithm>

#include "adder/base/error.h"
#include "adder/base/rng.h"

namespace adder::data {
namespace {

[[noreturn]] void throw_no_window(int64_t tokens, const LoaderOptions& options) {
  const bool packed = options.mode == PackMode::kPacked;
  throw Error(
      ErrorKind::kConfig,
      {.what = "the text is too short for one window",
       .why = packed ? fmt::format("this part of it has {} tokens, a window of length {} needs {}",
                                   tokens, options.length, options.length + 1)
                     : fmt::format("no document in its {} tokens has two tokens or more", tokens),
       .next = packed ? "give more text, use shorter windows, or change the share held out"
                      : "give more text"});
}

}  // namespace

TokenLoader::TokenLoader(const ShardSet& shards, const std::vector<Portion>& portions,
                         const LoaderOptions& options)
    : options_(options) {
  if (options_.length < 1 || options_.batch_size < 1 ||
      options_.batch_size > INT32_MAX / options_.length) {
    throw Error(ErrorKind::kConfig,
                {.what = fmt::format("a batch of {} windows of {} tokens", options_.batch_size,
                                     options_.length),
                 .why = "it must hold at least one window and fewer than 2^31 tokens"});
  }
  double total = 0;
  for (const Portion& portion : portions) total += portion.weight;
  double share = 0;
  for (const Portion& portion : portions) {
    share += portion.weight / total;
    sources_.push_back(
        {Windows(shards, portion.ranges, options_.length, options_.mode, options_.stride), share});
    if (sources_.back().windows.count(0) < 1) throw_no_window(portion.size(), options_);
    begin_epoch(sources_.back(), 0);
  }
}

bool TokenLoader::has_seq_idx() const {
  return std::ranges::any_of(sources_, [](const Source& s) { return s.windows.has_seq_idx(); });
}

void TokenLoader::begin_epoch(Source& source, int64_t epoch) const {
  source.epoch = epoch;
  source.index = 0;
  source.phase =
      source.windows.phase(static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(epoch));
  source.count = source.windows.count(source.phase);
}

/// Whose turn it is: a function of the seed and the number of the row.
TokenLoader::Source& TokenLoader::draw_source() {
  Rng rng(static_cast<uint64_t>(options_.seed), stream_of("data.mixture"));
  rng.seek(2 * static_cast<uint64_t>(rows_));  // a uniform() takes two words
  const double at = rng.uniform();
  const auto found = std::ranges::find_if(sources_, [&](const Source& s) { return at < s.share; });
  return found == sources_.end() ? sources_.back() : *found;
}

void TokenLoader::fill_next(Source& source, Batch& batch, int64_t row) const {
  // An epoch has as many windows as any other, or one less: two hold every window.
  for (int64_t tries = 0; tries < 2 * source.count + 2; ++tries) {
    if (source.index == source.count) begin_epoch(source, source.epoch + 1);
    const int64_t window =
        permuted(source.index++, source.count, static_cast<uint64_t>(options_.seed),
                 static_cast<uint64_t>(source.epoch));
    if (source.windows.fill(batch, row, window, source.phase)) return;
  }
  throw Error(ErrorKind::kConfig,
              {.what = "no training window holds a part of an answer",
               .why = fmt::format("of {} windows of length {}", source.count, options_.length),
               .next = "give more conversations, or longer windows"});
}

Batch TokenLoader::make_batch(int64_t rows) const {
  Batch batch;
  batch["tokens"] = Array::zeros(DType::i32, {rows, options_.length});
  batch["targets"] = Array::zeros(DType::i64, {rows, options_.length});
  if (has_seq_idx()) batch["seq_idx"] = Array::zeros(DType::i32, {rows, options_.length});
  return batch;
}

Batch TokenLoader::next() {
  Batch batch = make_batch(options_.batch_size);
  for (int64_t row = 0; row < options_.batch_size; ++row) {
    fill_next(draw_source(), batch, row);
    ++rows_;
  }
  return batch;
}

int64_t TokenLoader::windows(int64_t epoch, size_t portion) const {
  const Windows& windows = sources_.at(portion).windows;
  return windows.count(
      windows.phase(static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(epoch)));
}

io::Json TokenLoader::cursor() const {
  io::Json portions = io::Json::array();
  for (const Source& source : sources_) {
    portions.push_back(
        {{"epoch", source.epoch}, {"index", source.index}, {"windows", source.count}});
  }
  return {{"rows", rows_}, {"portions", std::move(portions)}};
}

void TokenLoader::seek(const io::Json& cursor) {
  const io::JsonView view(cursor, "data cursor");
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorKind::kFormat,
                {.what = "the place in the data does not fit the data",
                 .where = fmt::format("data cursor {}", cursor.dump()),
                 .why = why,
                 .next = "resume with the text, window length and seed that the run began with"});
  };
  const int64_t rows = view.at("rows").as_integer(0);
  const auto portions = view.at("portions").items();
  if (portions.size() != sources_.size()) {
    refuse(fmt::format("there are {} portions of text", sources_.size()));
  }
  auto sources = sources_;  // untouched when the cursor does not fit
  for (size_t i = 0; i < sources.size(); ++i) {
    const int64_t epoch = portions[i].at("epoch").as_integer(0, UINT32_MAX);
    const int64_t count = windows(epoch, i);
    const int64_t index = portions[i].at("index").as_integer(0);
    if (portions[i].at("windows").as_integer() != count || index > count) {
      refuse(fmt::format("epoch {} has {} windows", epoch, count));
    }
    begin_epoch(sources[i], epoch);
    sources[i].index = index;
  }
  sources_ = std::move(sources);
  rows_ = rows;
}

double TokenLoader::progress(size_t portion) const {
  const Source& source = sources_.at(portion);
  return static_cast<double>(source.epoch) +
         static_cast<double>(source.index) / static_cast<double>(source.count);
}

int64_t TokenLoader::eval_windows() const {
  int64_t count = 0;
  for (const Source& source : sources_) count += source.windows.count(0);
  return count;
}

Batch TokenLoader::eval_batch(int64_t first, int64_t count) const {
  if (first < 0 || count < 1 || count > eval_windows() - first) {
    throw Error(ErrorKind::kInternal, {.what = fmt::format("windows [{}, {}) of {} were asked for",
                                                           first, first + count, eval_windows())});
  }
  Batch batch = make_batch(count);
  int64_t row = 0;
  for (const Source& source : sources_) {
    const int64_t here = source.windows.count(0);
    for (; row < count && first + row < here; ++row) {
      source.windows.fill(batch, row, first + row, 0);
    }
    first -= here;
  }
  return batch;
}

}  // namespace adder::data
