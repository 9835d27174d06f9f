#include "adder/text/word_text.h"

#include "adder/text/stream_decoder.h"
#include "adder/text/unicode.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

std::string without_carriage_returns(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t done = 0; done < text.size();) {
    const size_t at = text.find("\r\n", done);
    out += text.substr(done, at == std::string_view::npos ? at : at - done);
    done = at == std::string_view::npos ? text.size() : at + 1;
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
