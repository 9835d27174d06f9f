#include "adder/data/inspect.h"

#include <fmt/format.h>

#include <algorithm>

#include "adder/base/error.h"
#include "adder/data/loader.h"
#include "adder/text/stream_decoder.h"

namespace adder::data {
namespace {

/// Line ends and other control characters as a reader can see them on one line.
std::string visible(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\x{:02X}", static_cast<unsigned char>(c));
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string control_name(const text::Tokenizer& tokenizer, int32_t id) {
  return tokenizer.eos_id() == id ? "<eos>" : fmt::format("<{}>", id);
}

/// One row on its way into a line.
class RowText {
 public:
  RowText(const text::Tokenizer& tokenizer, bool answers)
      : tokenizer_(tokenizer), answers_(answers) {}

  void begin_document(int32_t number) { mark(fmt::format("[{}]", number)); }

  /// `learnt`: this token is a target.
  void add(int32_t id, bool learnt) {
    if (answers_ && learnt != inside_) mark(learnt ? "{" : "}");
    inside_ = learnt;
    if (tokenizer_.token_bytes(id).empty()) {
      mark(control_name(tokenizer_, id));
    } else {
      out_ += visible(decoder_.feed(tokenizer_.bytes_after(before_, id)));
    }
    before_.push_back(id);
  }

  void ignore_target() {
    if (!answers_) mark("|");
  }

  std::string finish(int64_t padding) {
    mark(answers_ && inside_ ? "}" : "");
    if (padding > 0) mark(fmt::format("[pad x {}]", padding));
    return out_;
  }

 private:
  void mark(const std::string& text) { out_ += visible(decoder_.flush()) + text; }

  const text::Tokenizer& tokenizer_;
  bool answers_;
  bool inside_ = false;  // of an answer
  text::StreamDecoder decoder_;
  std::vector<int32_t> before_;  // this token
  std::string out_;
};

/// Whether targets are left out inside documents.
bool has_questions(std::span<const int64_t> targets, std::span<const int32_t> seq_idx) {
  for (size_t t = 0; t + 1 < targets.size(); ++t) {
    const bool inside = seq_idx.empty() || (seq_idx[t] >= 0 && seq_idx[t] == seq_idx[t + 1]);
    if (inside && targets[t] == kIgnoreTarget) return true;
  }
  return false;
}

std::string describe_row(std::span<const int32_t> tokens, std::span<const int64_t> targets,
                         std::span<const int32_t> seq_idx, const text::Tokenizer& tokenizer) {
  RowText text(tokenizer, has_questions(targets, seq_idx));
  int64_t padding = 0;
  for (size_t t = 0; t < tokens.size(); ++t) {
    if (!seq_idx.empty() && seq_idx[t] < 0) {
      ++padding;
      continue;
    }
    const bool begins = !seq_idx.empty() && (t == 0 || seq_idx[t] != seq_idx[t - 1]);
    if (begins) text.begin_document(seq_idx[t]);
    text.add(tokens[t], t > 0 && !begins && targets[t - 1] != kIgnoreTarget);
    if (targets[t] == kIgnoreTarget) text.ignore_target();
  }
  return text.finish(padding);
}

std::span<const int32_t> seq_idx_of(const Batch& batch) {
  const auto found = batch.find("seq_idx");
  return found == batch.end() ? std::span<const int32_t>() : found->second.as<int32_t>();
}

io::Json describe_portion(const ShardSet& shards, const Portion& portion) {
  int64_t documents = 0;
  for (const TokenRange range : portion.ranges) {
    if (range.size() == 0) continue;
    documents += shards.document_at(range.end - 1) - shards.document_at(range.begin) + 1;
  }
  return {{"name", portion.name}, {"tokens", portion.size()}, {"documents", documents}};
}

}  // namespace

std::vector<std::string> describe_rows(const Batch& batch, const text::Tokenizer& tokenizer,
                                       int64_t rows) {
  const Array& tokens = batch.at("tokens");
  const auto ids = tokens.as<int32_t>();
  const auto targets = batch.at("targets").as<int64_t>();
  const auto seq_idx = seq_idx_of(batch);
  const auto length = static_cast<size_t>(tokens.shape.at(1));
  std::vector<std::string> lines;
  for (int64_t row = 0; row < std::min(rows, tokens.shape.at(0)); ++row) {
    const size_t at = static_cast<size_t>(row) * length;
    lines.push_back(describe_row(ids.subspan(at, length), targets.subspan(at, length),
                                 seq_idx.empty() ? seq_idx : seq_idx.subspan(at, length),
                                 tokenizer));
  }
  return lines;
}

BatchCounts count_batch(const Batch& batch) {
  const Array& tokens = batch.at("tokens");
  const auto targets = batch.at("targets").as<int64_t>();
  BatchCounts counts{.rows = tokens.shape.at(0), .length = tokens.shape.at(1)};
  counts.ignored = std::ranges::count(targets, kIgnoreTarget);
  counts.predictions = tokens.count() - counts.ignored;
  counts.padding = std::ranges::count_if(seq_idx_of(batch), [](int32_t s) { return s < 0; });
  return counts;
}

io::Json describe_split(const ShardSet& shards, const Split& split) {
  double total = 0;  // of the weights
  for (const Portion& portion : split.train) total += portion.weight;
  io::Json training = io::Json::array();
  for (const Portion& portion : split.train) {
    io::Json entry = describe_portion(shards, portion);
    entry["share"] = portion.weight / total;
    training.push_back(std::move(entry));
  }
  io::Json held_out = io::Json::array();
  for (const Portion& portion : split.validation) {
    held_out.push_back(describe_portion(shards, portion));
  }
  return {{"training", std::move(training)}, {"held_out", std::move(held_out)}};
}

}  // namespace adder::data
