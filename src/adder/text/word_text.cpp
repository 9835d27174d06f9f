#include "adder/text/word_text.h"

#include "adder/text/stream_decoder.h"
#include "adder/text/unicode.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

/// Without those before a line end, however many: what is left has none more.
std::string without_carriage_returns(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t done = 0; done < text.size();) {
    const size_t at = text.find("\r\n", done);
    if (at == std::string_view::npos) return out.append(text.substr(done));
    const size_t kept = text.find_last_not_of('\r', at);
    if (kept != std::string_view::npos && kept >= done) out += text.substr(done, kept + 1 - done);
    done = at + 1;
  }
  return out;
}

}  // namespace

std::string_view word_text(std::string_view text, std::string& buffer) {
  std::string changed;
  if (!is_valid_utf8(text)) {
    StreamDecoder decoder;
    changed = decoder.feed(text);
    changed += decoder.flush();
    text = changed;
  }
  if (text.find("\r\n") != std::string_view::npos) {
    changed = without_carriage_returns(text);
    text = changed;
  }
  const std::string_view normal = normal_form(text, NormalForm::kC, buffer);
  if (normal.data() != changed.data() || changed.empty()) return normal;
  buffer = std::move(changed);
  return buffer;
}

}  // namespace adder::text
