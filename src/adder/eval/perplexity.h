// Perplexity of a model on documents of any length: one state is carried through each, and only
// sums are kept.
//
// What is counted: every token of a document when the tokenizer puts a token before a text (bos,
// read first); else every token but the first, which nothing foretells, and the bytes of that first
// token are left out too. No token that ends a document is added.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "adder/data/document_stream.h"
#include "adder/data/left_out.h"
#include "adder/eval/statistics.h"
#include "adder/infer/score.h"
#include "adder/io/json.h"
#include "adder/text/tokenizer.h"

namespace adder::eval {

struct TokenLoss {
  int64_t document = 0;  // counted from 0
  int32_t token = 0;
  double nats = 0;
};
/// Gets every counted token, some at a time.
using OnTokenLosses = std::function<void(std::span<const TokenLoss>)>;

class Perplexity {
 public:
  /// `model`, and `tokenizer` where there is one, must outlive this.
  Perplexity(infer::Model& model, const text::Tokenizer* tokenizer,
             const infer::ScoreOptions& options, std::optional<int32_t> bos,
             OnTokenLosses on_losses = {});
  Perplexity(const Perplexity&) = delete;
  Perplexity& operator=(const Perplexity&) = delete;

  /// The next tokens of the document.
  void read(std::span<const int32_t> ids);
  /// The document ends; the next one begins from an empty state. `bytes` of its text; nothing:
  /// those that its tokens stand for. Documents in which nothing is counted leave no trace.
  void end_document(std::optional<int64_t> bytes = std::nullopt);

  int64_t tokens() const { return tokens_; }
  int64_t documents() const { return per_token_.count(); }
  double nats_per_token() const { return per_token_.ratio(); }

  /// {"documents", "tokens", "nats_per_token", "perplexity", "bytes", "bits_per_byte",
  /// "first_token_counted", "confidence_95": {"nats_per_token", "perplexity", "bits_per_byte":
  /// [lowest, highest]}}. bits_per_byte = nats / (ln 2 bytes), left out without a tokenizer. The
  /// interval is Student's over documents (RatioEstimate), null for one document. Throws kUsage
  /// when no token was counted.
  io::Json to_json() const;

 private:
  void take(std::span<const double> losses);
  int64_t bytes_of(int32_t id) const;
  void count_bytes(std::span<const int32_t> ids);

  /// Tokens that decide on the space before the next one: far more than marks stand in a row.
  static constexpr std::ptrdiff_t kBefore = 64;

  const text::Tokenizer* tokenizer_;
  std::optional<int32_t> bos_;
  OnTokenLosses on_losses_;
  infer::TextScorer scorer_;
  std::vector<int32_t> waiting_;     // read, their losses not yet known
  std::vector<TokenLoss> reported_;  // of one tile
  RatioEstimate per_token_, bits_per_byte_;
  int64_t tokens_ = 0, bytes_ = 0;

  // The document that is being read.
  int64_t document_ = 0;
  bool begun_ = false;
  std::vector<int32_t> before_;  // its last tokens, at least kBefore of them
  double document_nats_ = 0;
  int64_t document_tokens_ = 0;
  int64_t document_bytes_ = 0;   // that its tokens stand for, the first one's included
  int64_t uncounted_bytes_ = 0;  // of the first token, where it is not counted
};

/// Every document of `documents`, encoded piece by piece. `progress` is told how many of
/// documents.bytes_total() are done. Gives the characters that the tokenizer left out, whose bytes
/// do not count.
data::LeftOut read_documents(Perplexity& perplexity, const text::Tokenizer& tokenizer,
                             data::DocumentStream& documents,
                             const std::function<void(int64_t bytes)>& progress = {});

}  // namespace adder::eval
