#include "adder/text/token_decoder.h"

#include "adder/text/byte_level.h"
#include "adder/text/normalizer.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

/// The byte of "<0x0A>".
std::optional<char> fall_back_byte(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : {token[3], token[4]}) {
    const bool digit = c >= '0' && c <= '9', letter = c >= 'A' && c <= 'F';
    if (!digit && !letter) return std::nullopt;
    value = value * 16 + (digit ? c - '0' : c - 'A' + 10);
  }
  return static_cast<char>(value);
}

void replace_all(std::string& text, const std::string& what, const std::string& by) {
  if (what.empty()) return;
  std::string out;
  size_t done = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, done)) {
    out.append(text, done, at - done);
    out += by;
    done = at + what.size();
  }
  if (done > 0) text = out.append(text, done);
}

}  // namespace

TokenDecoder TokenDecoder::from_json(const io::JsonView& part) {
  TokenDecoder made;
  made.add(part);
  return made;
}

void TokenDecoder::add(const io::JsonView& part) {
  const std::string type = part.at("type").as_string();
  if (type == "Sequence") {
    for (const io::JsonView& inner : part.at("decoders").items()) add(inner);
  } else if (type == "ByteLevel") {
    byte_level_ = true;
  } else if (type == "ByteFallback") {
    byte_fallback_ = true;
  } else if (type == "Fuse") {
    fused_ = true;
  } else if (type == "Replace") {
    const io::JsonView pattern = part.at("pattern");
    if (fused_) throw_unknown_part(part, "Replace after Fuse");
    if (!pattern.has("String")) throw_unknown_part(pattern, "a decoder replaces texts only");
    replacements_.emplace_back(pattern.at("String").as_string(), part.at("content").as_string());
  } else if (type == "Strip") {
    if (!fused_ || part.integer("stop", 0) != 0) {
      throw_unknown_part(part, "Strip other than of a text's start, after Fuse");
    }
    strip_ = {part.at("content").as_string(), part.at("start").as_integer(0, 1024)};
  } else if (type == "Metaspace") {
    const std::string mark = part.string("replacement", "\xE2\x96\x81");
    replacements_.emplace_back(mark, " ");
    const bool prefix = part.boolean("add_prefix_space", true);
    if (part.string("prepend_scheme", prefix ? "always" : "never") != "never") strip_ = {" ", 1};
  } else {
    throw_unknown_part(part, "a decoder of the type " + type);
  }
}

std::string TokenDecoder::bytes(const std::string& token) const {
  if (byte_fallback_) {
    if (const auto byte = fall_back_byte(token)) return std::string(1, *byte);
  }
  if (byte_level_)
    return byte_level_bytes(token).value_or(token);  // an added token may hold others
  std::string out = token;
  for (const auto& [what, by] : replacements_) replace_all(out, what, by);
  return out;
}

}  // namespace adder::text
