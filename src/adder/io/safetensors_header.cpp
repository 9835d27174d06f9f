#include "adder/io/safetensors_header.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_set>
#include <utility>

#include "adder/base/checked.h"
#include "adder/base/error.h"
#include "adder/io/json.h"
#include "adder/io/utf8.h"

namespace adder::io {
namespace {

constexpr std::string_view kMetadataKey = "__metadata__";

constexpr std::array<std::pair<std::string_view, DType>, 11> kTypes = {{{"F64", DType::f64},
                                                                        {"F32", DType::f32},
                                                                        {"BF16", DType::bf16},
                                                                        {"F16", DType::f16},
                                                                        {"I64", DType::i64},
                                                                        {"I32", DType::i32},
                                                                        {"I16", DType::i16},
                                                                        {"I8", DType::i8},
                                                                        {"U8", DType::u8},
                                                                        {"BOOL", DType::boolean},
                                                                        {"U16", DType::u16}}};

// Types of the format that Adder has no use for.
constexpr std::array<std::string_view, 11> kForeignTypes = {
    "U64",         "U32",     "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ",
    "F8_E5M2FNUZ", "F6_E2M3", "F6_E3M2", "F4",      "C64"};

class Parser {
 public:
  Parser(std::string_view text, int64_t data_bytes, const std::string& where)
      : text_(text), data_bytes_(data_bytes), where_(where) {}

  Header parse() {
    if (text_.empty() || text_[0] != '{') fail("it does not begin with '{'");
    if (!is_utf8(text_)) fail("it is not valid UTF-8");
    members([this](std::string key) { top_member(std::move(key)); });
    if (text_.find_first_not_of(' ', at_) != std::string_view::npos) {
      fail("something other than spaces follows the closing brace");
    }
    check_tiling();
    return std::move(header_);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw Error(ErrorKind::kFormat,
                {.what = "the safetensors header is malformed",
                 .where = where_ + (at_ > 0 ? ", header byte " + std::to_string(at_) : ""),
                 .why = why,
                 .next = "an incomplete download or a corrupt file?"});
  }

  [[noreturn]] void fail_tensor(const std::string& name, const std::string& why) const {
    fail("tensor \"" + name.substr(0, 100) + "\": " + why);
  }

  void skip_space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail(std::string("expected '") + c + "'");
  }

  // One object: calls member(key) with the position after the colon.
  template <typename F>
  void members(F&& member) {
    expect('{');
    if (accept('}')) return;
    do {
      skip_space();
      std::string key = string();
      expect(':');
      member(std::move(key));
    } while (accept(','));
    expect('}');
  }

  uint32_t hex4() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = at_ < text_.size() ? text_[at_] : '?';
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail("a bad \\u escape");
      value = value * 16 + static_cast<uint32_t>(digit);
    }
    return value;
  }

  void unicode_escape(std::string& out) {
    uint32_t code = hex4();
    if (code >= 0xd800 && code <= 0xdbff && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      const uint32_t low = hex4();
      if (low < 0xdc00 || low > 0xdfff) fail("half of a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if (code >= 0xd800 && code <= 0xdfff) fail("half of a surrogate pair");
    const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xc0 | (code >> 6));
      tail(0);
    } else if (code < 0x10000) {
      out += static_cast<char>(0xe0 | (code >> 12));
      tail(6), tail(0);
    } else {
      out += static_cast<char>(0xf0 | (code >> 18));
      tail(12), tail(6), tail(0);
    }
  }

  std::string string() {
    expect('"');
    std::string out;
    while (true) {
      if (at_ >= text_.size()) fail("a string without an end");
      const char c = text_[at_++];
      if (c == '"') return out;
      if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
      if (c != '\\') {
        out += c;
        continue;
      }
      const char escape = at_ < text_.size() ? text_[at_++] : '?';
      constexpr std::string_view kFrom = "\"\\/bfnrt";
      constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
      if (const auto index = kFrom.find(escape); index != std::string_view::npos) {
        out += kTo[index];
      } else if (escape == 'u') {
        unicode_escape(out);
      } else {
        fail("an unknown escape in a string");
      }
    }
  }

  // Digits alone: no sign, fraction, exponent or leading zero.
  int64_t integer(const char* what) {
    skip_space();
    const std::size_t begin = at_;
    int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (at_ - begin >= 19) fail(std::string(what) + " is too large");
      value = checked_add(checked_mul(value, int64_t{10}, what), int64_t{text_[at_] - '0'}, what);
    }
    const bool leading_zero = at_ - begin > 1 && text_[begin] == '0';
    const bool more =
        at_ < text_.size() && std::string_view(".eE+-").find(text_[at_]) != std::string_view::npos;
    if (at_ == begin || leading_zero || more) fail(std::string(what) + " is not a plain integer");
    return value;
  }

  std::vector<int64_t> integers(const char* what) {
    std::vector<int64_t> values;
    expect('[');
    if (accept(']')) return values;
    do {
      if (values.size() == kMaxDimensions) fail(std::string(what) + " has too many elements");
      values.push_back(integer(what));
    } while (accept(','));
    expect(']');
    return values;
  }

  void top_member(std::string key) {
    if (key.size() > kMaxNameBytes) fail("a tensor's name is too long");
    if (key.empty()) fail("a tensor without a name");
    if (key.find('\0') != std::string::npos) fail("a NUL in a tensor's name");
    if (!keys_.insert(key).second) fail_tensor(key, "the key stands twice");
    if (keys_.size() > kMaxTensors) fail("more than " + std::to_string(kMaxTensors) + " tensors");
    if (key == kMetadataKey) {
      metadata();
    } else {
      tensor(std::move(key));
    }
  }

  void metadata() {
    const std::size_t begin = at_;
    members([this](std::string key) {
      skip_space();
      std::string value = string();
      if (!header_.metadata.emplace(std::move(key), std::move(value)).second) {
        fail("a key stands twice in __metadata__");
      }
    });
    if (static_cast<int64_t>(at_ - begin) > kMaxMetadataBytes) fail("__metadata__ is too large");
  }

  DType type(const std::string& tensor) {
    skip_space();
    const std::string word = string();
    for (const auto& [name, dtype] : kTypes) {
      if (word == name) return dtype;
    }
    if (std::ranges::find(kForeignTypes, word) == kForeignTypes.end()) {
      fail_tensor(tensor, "unknown dtype \"" + word.substr(0, 40) + "\"");
    }
    throw Error(ErrorKind::kUnsupported, {.what = "Adder holds no tensors of dtype " + word,
                                          .where = where_ + ", tensor '" + tensor + "'"});
  }

  void tensor(std::string name) {
    std::optional<DType> dtype;
    std::optional<std::vector<int64_t>> shape, offsets;
    members([&](const std::string& key) {
      if (key == "dtype" && !dtype) {
        dtype = type(name);
      } else if (key == "shape" && !shape) {
        shape = integers("a shape");
      } else if (key == "data_offsets" && !offsets) {
        offsets = integers("data_offsets");
      } else {
        fail_tensor(name, "\"" + key.substr(0, 40) + "\" is unknown or stands twice");
      }
    });
    if (!dtype || !shape || !offsets) fail_tensor(name, "dtype, shape or data_offsets is missing");
    if (offsets->size() != 2) fail_tensor(name, "data_offsets is not a pair");
    const int64_t begin = (*offsets)[0];
    const int64_t end = (*offsets)[1];
    if (begin > end || end > data_bytes_) {
      fail_tensor(name, "data_offsets [" + std::to_string(begin) + ", " + std::to_string(end) +
                            "] do not lie in the " + std::to_string(data_bytes_) +
                            " bytes of data");
    }
    const std::string what = "tensor \"" + name.substr(0, 100) + "\"";
    const int64_t bytes = checked_mul(checked_product(*shape, what), size_of(*dtype), what);
    if (bytes != end - begin) {
      fail_tensor(name, "its dtype and shape take " + std::to_string(bytes) +
                            " bytes, data_offsets give " + std::to_string(end - begin));
    }
    header_.entries.push_back({std::move(name), *dtype, std::move(*shape), begin, end});
  }

  void check_tiling() {
    at_ = 0;  // errors from here on have no position
    std::ranges::stable_sort(header_.entries, {},
                             [](const HeaderEntry& e) { return std::pair(e.begin, e.end); });
    int64_t reached = 0;
    for (const auto& entry : header_.entries) {
      if (entry.begin != reached) {
        fail_tensor(entry.name, entry.begin < reached ? "its bytes overlap another tensor's"
                                                      : "there is a hole before its bytes");
      }
      reached = entry.end;
    }
    if (reached != data_bytes_) {
      fail("the tensors end at byte " + std::to_string(reached) + " of the data, the file at " +
           std::to_string(data_bytes_));
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int64_t data_bytes_;
  const std::string& where_;
  Header header_;
  std::unordered_set<std::string> keys_;
};

std::string_view type_name(DType dtype) {
  return std::ranges::find(kTypes, dtype, &std::pair<std::string_view, DType>::second)->first;
}

std::string json_string(const std::string& text) {
  return Json(text).dump();
}

}  // namespace

Header parse_safetensors_header(std::string_view text, int64_t data_bytes,
                                const std::string& where) {
  try {
    return Parser(text, data_bytes, where).parse();
  } catch (const Error& error) {
    if (!error.text().where.empty()) throw;
    throw error.within(where);  // size arithmetic does not know the file
  }
}

std::string format_safetensors_header(const Header& header, const std::string& where) {
  std::string out = "{";
  try {
    if (!header.metadata.empty()) {
      out += json_string(std::string(kMetadataKey)) + ":{";
      for (const auto& [key, value] : header.metadata) {
        if (out.back() != '{') out += ',';
        out += json_string(key) + ":" + json_string(value);
      }
      out += '}';
    }
    for (const auto& entry : header.entries) {
      if (out.size() > 1) out += ',';
      out += json_string(entry.name) + ":{\"dtype\":\"" + std::string(type_name(entry.dtype)) +
             "\",\"shape\":" + Json(entry.shape).dump() + ",\"data_offsets\":[" +
             std::to_string(entry.begin) + "," + std::to_string(entry.end) + "]}";
    }
  } catch (const Json::type_error&) {
    throw Error(ErrorKind::kFormat,
                {.what = "a name or metadata text is not valid UTF-8", .where = where});
  }
  out += '}';
  out.resize((out.size() + 7) / 8 * 8, ' ');
  return out;
}

}  // namespace adder::io
