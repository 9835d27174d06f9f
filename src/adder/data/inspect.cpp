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

std::string describe_row(std::span<const int32_t> tokens, std::span<const int64_t> targets,
                         std::span<const int32_t> seq_idx, const text::Tokenizer& tokenizer) {
  std::string out;
  text::StreamDecoder decoder;
  int64_t padding = 0;
  for (size_t t = 0; t < tokens.size(); ++t) {
    if (!seq_idx.empty() && seq_idx[t] < 0) {
      ++padding;
      continue;
    }
    if (!seq_idx.empty() && (t == 0 || seq_idx[t] != seq_idx[t - 1])) {
      out += visible(decoder.flush()) + fmt::format("[{}]", seq_idx[t]);
    }
    const std::string bytes = tokenizer.token_bytes(tokens[t]);
    out += bytes.empty() ? visible(decoder.flush()) + control_name(tokenizer, tokens[t])
                         : visible(decoder.feed(bytes));
    if (targets[t] == kIgnoreTarget) out += visible(decoder.flush()) + "|";
  }
  out += visible(decoder.flush());
  if (padding > 0) out += fmt::format("[pad x {}]", padding);
  return out;
}

}  // namespace

std::string describe_batch(const Batch& batch, const text::Tokenizer& tokenizer, int64_t rows) {
  const Array& tokens = batch.at("tokens");
  const auto ids = tokens.as<int32_t>();
  const auto targets = batch.at("targets").as<int64_t>();
  const auto found = batch.find("seq_idx");
  const std::span<const int32_t> seq_idx =
      found == batch.end() ? std::span<const int32_t>() : found->second.as<int32_t>();
  const auto length = static_cast<size_t>(tokens.shape.at(1));
  std::string out;
  for (int64_t row = 0; row < std::min(rows, tokens.shape.at(0)); ++row) {
    const size_t at = static_cast<size_t>(row) * length;
    out += fmt::format(
        "row {}: {}\n", row,
        describe_row(ids.subspan(at, length), targets.subspan(at, length),
                     seq_idx.empty() ? seq_idx : seq_idx.subspan(at, length), tokenizer));
  }
  const auto ignored = std::count(targets.begin(), targets.end(), kIgnoreTarget);
  const auto padding =
      std::count_if(seq_idx.begin(), seq_idx.end(), [](int32_t s) { return s < 0; });
  out += fmt::format(
      "{} rows of {} tokens: {} predictions, {} targets left out, {} of them padding\n",
      tokens.shape.at(0), length, static_cast<int64_t>(ids.size()) - ignored, ignored, padding);
  return out;
}

}  // namespace adder::data
