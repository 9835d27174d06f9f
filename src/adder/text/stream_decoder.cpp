#include "adder/text/stream_decoder.h"

#include "adder/text/utf8.h"

namespace adder::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace

std::string StreamDecoder::feed(std::string_view bytes) {
  pending_ += bytes;
  std::string out;
  size_t offset = 0;
  while (offset < pending_.size()) {
    const std::string_view rest = std::string_view(pending_).substr(offset);
    const size_t valid = valid_utf8_prefix(rest);
    out += rest.substr(0, valid);
    offset += valid;
    if (offset == pending_.size()) break;
    const Utf8Step step = read_utf8(pending_, offset);
    if (step.incomplete) break;
    out += kReplacement;
    offset += static_cast<size_t>(step.length);
  }
  pending_.erase(0, offset);
  return out;
}

std::string StreamDecoder::flush() {
  const std::string out(pending_.empty() ? std::string_view() : kReplacement);
  pending_.clear();
  return out;
}

}  // namespace adder::text
