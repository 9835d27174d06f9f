#include "adder/eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "adder/base/error.h"
#include "adder/data/piece_encoder.h"

namespace adder::eval {
namespace {

io::Json interval(double low, double high) {
  return io::Json::array({low, high});
}

}  // namespace

Perplexity::Perplexity(infer::Model& model, const text::Tokenizer* tokenizer,
                       const infer::ScoreOptions& options, std::optional<int32_t> bos,
                       OnTokenLosses on_losses)
    : tokenizer_(tokenizer),
      bos_(bos),
      on_losses_(std::move(on_losses)),
      scorer_(model, options, [this](std::span<const double> losses) { take(losses); }) {}

void Perplexity::read(std::span<const int32_t> ids) {
  if (ids.empty()) return;
  std::span<const int32_t> counted = ids;
  if (!begun_ && bos_) scorer_.read({&*bos_, 1});
  if (!begun_ && !bos_) {
    uncounted_bytes_ = bytes_of(ids[0]);
    counted = ids.subspan(1);
  }
  begun_ = true;
  count_bytes(ids);
  waiting_.insert(waiting_.end(), counted.begin(), counted.end());
  scorer_.read(ids);
}

void Perplexity::end_document(std::optional<int64_t> bytes) {
  scorer_.finish();
  if (document_tokens_ > 0) {
    const int64_t counted = bytes.value_or(document_bytes_) - uncounted_bytes_;
    per_token_.add(document_nats_, static_cast<double>(document_tokens_));
    bits_per_byte_.add(document_nats_ / std::numbers::ln2, static_cast<double>(counted));
    tokens_ += document_tokens_;
    bytes_ += counted;
  }
  ++document_;
  begun_ = false;
  before_.clear();
  document_nats_ = 0;
  document_tokens_ = document_bytes_ = uncounted_bytes_ = 0;
}

/// What `id` adds to the text of before_; nothing for the rows that a model has beyond its
/// tokenizer.
int64_t Perplexity::bytes_of(int32_t id) const {
  if (tokenizer_ == nullptr || id < 0 || id >= tokenizer_->vocab_size()) return 0;
  return static_cast<int64_t>(tokenizer_->bytes_after(before_, id).size());
}

void Perplexity::count_bytes(std::span<const int32_t> ids) {
  if (tokenizer_ == nullptr) return;
  for (const int32_t id : ids) {
    document_bytes_ += bytes_of(id);
    if (std::ssize(before_) == 2 * kBefore)
      before_.erase(before_.begin(), before_.begin() + kBefore);
    before_.push_back(id);
  }
}

void Perplexity::take(std::span<const double> losses) {
  for (const double loss : losses) document_nats_ += loss;
  document_tokens_ += static_cast<int64_t>(losses.size());
  if (on_losses_) {
    reported_.clear();
    for (size_t i = 0; i < losses.size(); ++i) {
      reported_.push_back({document_, waiting_[i], losses[i]});
    }
    on_losses_(reported_);
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(losses.size()));
}

io::Json Perplexity::to_json() const {
  if (tokens_ == 0) {
    throw Error(ErrorKind::kUsage,
                {.what = "there is nothing to predict", .why = "no document has two tokens"});
  }
  const double nats = per_token_.ratio(), spread = per_token_.half_width();
  io::Json json = {{"documents", documents()},
                   {"tokens", tokens_},
                   {"nats_per_token", nats},
                   {"perplexity", std::exp(nats)},
                   {"first_token_counted", bos_.has_value()},
                   {"confidence_95", nullptr}};
  io::Json confidence = {
      {"nats_per_token", interval(nats - spread, nats + spread)},
      {"perplexity", interval(std::exp(nats - spread), std::exp(nats + spread))}};
  if (bytes_ > 0) {
    const double bits = bits_per_byte_.ratio(), width = bits_per_byte_.half_width();
    json["bytes"] = bytes_;
    json["bits_per_byte"] = bits;
    confidence["bits_per_byte"] = interval(bits - width, bits + width);
  }
  if (documents() > 1) json["confidence_95"] = std::move(confidence);
  return json;
}

data::LeftOut read_documents(Perplexity& perplexity, const text::Tokenizer& tokenizer,
                             data::DocumentStream& documents,
                             const std::function<void(int64_t bytes)>& progress) {
  constexpr size_t kSlice = 2048;  // tokens between two looks at the progress
  data::PieceEncoder encoder(tokenizer);
  data::TextPiece piece;
  data::LeftOut left_out;
  int64_t bytes = 0;  // of the document
  for (int64_t before = 0; documents.next(piece); before = documents.bytes_read()) {
    bytes += static_cast<int64_t>(piece.text.size());
    const std::vector<int32_t> ids = encoder.feed(piece.text, piece.last);
    const std::span<const int32_t> all(ids);
    const auto piece_bytes = static_cast<double>(documents.bytes_read() - before);
    for (size_t at = 0; at < all.size(); at += kSlice) {
      const size_t end = std::min(at + kSlice, all.size());
      perplexity.read(all.subspan(at, end - at));
      const double share = static_cast<double>(end) / static_cast<double>(all.size());
      if (progress) progress(before + static_cast<int64_t>(piece_bytes * share));
    }
    if (!piece.last) continue;
    const data::LeftOut missing = encoder.take_left_out();
    perplexity.end_document(bytes - missing.bytes());
    left_out.add(missing.list());
    bytes = 0;
  }
  return left_out;
}

}  // namespace adder::eval
