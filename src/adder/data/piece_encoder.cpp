#include "adder/data/piece_encoder.h"

#include <fmt/format.h>

#include <algorithm>

#include "adder/base/error.h"

namespace adder::data {
namespace {

constexpr auto kLimit = static_cast<size_t>(kMaxLineBytes);

}  // namespace

PieceEncoder::PieceEncoder(const text::Tokenizer& tokenizer, size_t piece_bytes)
    : tokenizer_(tokenizer), piece_bytes_(piece_bytes), wanted_(2 * piece_bytes) {}

std::vector<int32_t> PieceEncoder::feed(std::string_view text, bool last) {
  rest_ += text;
  std::vector<int32_t> ids;
  size_t done = 0;
  // A place to cut at is looked for well before the end of what is known of the text.
  while (done < rest_.size() && (last || rest_.size() - done >= wanted_)) {
    const std::string_view rest = std::string_view(rest_).substr(done);
    const size_t piece = tokenizer_.cut_at(rest, piece_bytes_);
    if (!last && rest.size() - piece < piece_bytes_) {
      if (rest.size() > kLimit) {
        throw Error(ErrorKind::kUnsupported,
                    {.what = "the text cannot be encoded in bounded memory",
                     .why = fmt::format("for {} MiB there is no place at which this tokenizer "
                                        "lets it be cut",
                                        kMaxLineBytes >> 20),
                     .next = "use a tokenizer that can be cut anywhere in a text (\"char\", "
                             "\"byte\", or \"bpe\" learnt here), or cut the text into documents "
                             "with data.separator"});
      }
      wanted_ = std::min(2 * rest.size(), kLimit + 1);
      break;
    }
    const auto before = begun_ ? text::Before::kText : text::Before::kNothing;
    const auto more =
        tokenizer_.encode(rest.substr(0, piece), text::EncodeOptions{.before = before});
    left_out_.add(tokenizer_.dropped(rest.substr(0, piece)));
    begun_ = true;
    ids.insert(ids.end(), more.begin(), more.end());
    done += piece;
    wanted_ = 2 * piece_bytes_;
  }
  rest_.erase(0, done);
  if (last) begun_ = false;
  return ids;
}

}  // namespace adder::data
