#include "adder/io/npy.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "adder/base/checked.h"
#include "adder/base/error.h"
#include "adder/io/file.h"

namespace adder::io {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = 1 << 16;
constexpr std::size_t kMaxNpyDimensions = 32;  // as NumPy 1

// NumPy's names. '|' and '<' both mean nothing for one byte.
constexpr std::array<std::pair<std::string_view, DType>, 9> kNpyTypes = {{{"<f8", DType::f64},
                                                                          {"<f4", DType::f32},
                                                                          {"<f2", DType::f16},
                                                                          {"<i8", DType::i64},
                                                                          {"<i4", DType::i32},
                                                                          {"<i2", DType::i16},
                                                                          {"<u2", DType::u16},
                                                                          {"|i1", DType::i8},
                                                                          {"|u1", DType::u8}}};
constexpr std::string_view kBooleanType = "|b1";

// The header: a Python dictionary of exactly 'descr', 'fortran_order' and 'shape'.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  NpyHeader parse() {
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      member(key);
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) fail("something follows the closing brace");
    if (!dtype_ || !shape_ || !ordered_) fail("'descr', 'fortran_order' or 'shape' is missing");
    return {.dtype = *dtype_, .shape = std::move(*shape_)};
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw Error(ErrorKind::kFormat,
                {.what = "the .npy header is malformed", .where = where_, .why = why});
  }
  [[noreturn]] void unsupported(const std::string& what, const std::string& next) const {
    throw Error(ErrorKind::kUnsupported, {.what = what, .where = where_, .next = next});
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("expected '") + c + "'");
  }
  bool accept_word(std::string_view word) {
    skip_space();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  std::string string() {
    skip_space();
    const char quote = at_ < text_.size() ? text_[at_] : ' ';
    if (quote != '\'' && quote != '"') fail("expected a string");
    const auto end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a string without an end");
    std::string out(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return out;
  }

  void member(const std::string& key) {
    if (key == "descr" && !dtype_) {
      dtype_ = type();
    } else if (key == "fortran_order" && !ordered_) {
      if (accept_word("True"))
        unsupported("the array is in Fortran order", "save np.ascontiguousarray(a)");
      if (!accept_word("False")) fail("'fortran_order' is neither True nor False");
      ordered_ = true;
    } else if (key == "shape" && !shape_) {
      shape_ = shape();
    } else {
      fail("the key '" + key + "' is unknown or stands twice");
    }
  }

  DType type() {
    skip_space();
    if (at_ < text_.size() && text_[at_] == '[')
      unsupported("the array has named fields", "save each as its own");
    const std::string word = string();
    for (const auto& [name, dtype] : kNpyTypes) {
      if (word == name) return dtype;
    }
    if (word == kBooleanType) return DType::boolean;
    if (word.find('O') != std::string::npos) {
      unsupported("the array holds Python objects (a pickle, which can run code)",
                  "save it as numbers");
    }
    unsupported("arrays of type '" + word.substr(0, 20) + "' are not read",
                "save it as another type: a.astype(np.int32) or a.astype(np.float32), say");
  }

  std::vector<int64_t> shape() {
    std::vector<int64_t> dimensions;
    expect('(');
    bool comma = true;
    while (!accept(')')) {
      if (!comma) fail("expected ',' in the shape");
      if (dimensions.size() == kMaxNpyDimensions) fail("too many dimensions");
      dimensions.push_back(integer());
      comma = accept(',');
    }
    if (dimensions.size() == 1 && !comma) fail("a shape of one dimension is written '(n,)'");
    return dimensions;
  }

  int64_t integer() {
    skip_space();
    const std::size_t begin = at_;
    int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      value =
          checked_add(checked_mul(value, int64_t{10}, where_), int64_t{text_[at_] - '0'}, where_);
    }
    if (at_ == begin) fail("a dimension is not a whole number");
    return value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  const std::string& where_;
  std::optional<DType> dtype_;
  std::optional<std::vector<int64_t>> shape_;
  bool ordered_ = false;
};

std::string_view type_name(DType dtype, const std::string& where) {
  if (dtype == DType::boolean) return kBooleanType;
  const auto found =
      std::ranges::find(kNpyTypes, dtype, &std::pair<std::string_view, DType>::second);
  if (found != kNpyTypes.end()) return found->first;
  throw Error(ErrorKind::kUnsupported,
              {.what = "NumPy has no type for " + std::string(to_string(dtype)), .where = where});
}

int64_t data_bytes(DType dtype, std::span<const int64_t> shape, const std::string& where,
                   ErrorKind kind) {
  return checked_mul(checked_product(shape, where, kind), size_of(dtype), where, kind);
}

}  // namespace

int64_t NpyArray::elements() const {
  return checked_product(shape, "array", ErrorKind::kShape);
}

NpyHeader parse_npy_header(std::span<const std::byte> file, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorKind::kFormat,
                {.what = "this is not a .npy file", .where = where, .why = why});
  };
  if (!text.starts_with(kMagic) || text.size() < 10) refuse("it does not begin as one");
  const int version = static_cast<unsigned char>(text[6]);
  if (version != 1 && version != 2) refuse("its version is " + std::to_string(version));
  const std::size_t prefix = version == 1 ? 10 : 12;
  uint32_t length = 0;
  if (text.size() < prefix) refuse("it ends in its header");
  std::memcpy(&length, text.data() + 8, prefix - 8);
  if (length > kMaxHeader || length > text.size() - prefix) refuse("its header is too long");
  NpyHeader header = HeaderParser(text.substr(prefix, length), where).parse();
  header.offset = static_cast<int64_t>(prefix + length);
  const int64_t wanted = data_bytes(header.dtype, header.shape, where, ErrorKind::kFormat);
  const auto present = static_cast<int64_t>(file.size()) - header.offset;
  if (wanted != present) {
    refuse("its header promises " + std::to_string(wanted) + " bytes of data, " +
           std::to_string(present) + " follow");
  }
  return header;
}

NpyArray parse_npy(std::span<const std::byte> file, const std::string& where) {
  NpyHeader header = parse_npy_header(file, where);
  const auto data = file.subspan(static_cast<std::size_t>(header.offset));
  return {header.dtype, std::move(header.shape), {data.begin(), data.end()}};
}

NpyArray read_npy(const std::filesystem::path& path) {
  const MappedFile file(path);
  return parse_npy(file.bytes(), path.string());
}

void write_npy(const std::filesystem::path& path, const NpyArray& array) {
  write_npy(path, array.dtype, array.shape, array.bytes);
}

void write_npy(const std::filesystem::path& path, DType dtype, std::span<const int64_t> shape,
               std::span<const std::byte> bytes) {
  const std::string where = path.string();
  if (data_bytes(dtype, shape, where, ErrorKind::kShape) != static_cast<int64_t>(bytes.size())) {
    throw Error(ErrorKind::kShape,
                {.what = "an array's bytes do not fit its shape", .where = where});
  }
  std::string text = "{'descr': '" + std::string(type_name(dtype, where)) +
                     "', 'fortran_order': False, 'shape': (";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  text += shape.size() == 1 ? ",), }" : "), }";
  // The data begins at a multiple of 64; a newline ends the header.
  text.resize((10 + text.size() + 1 + 63) / 64 * 64 - 10, ' ');
  text.back() = '\n';
  std::string head(kMagic);
  head +=
      {'\x01', '\x00', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  AtomicFile file(path);
  file.write(as_bytes(head + text));
  file.write(bytes);
  file.commit();
}

}  // namespace adder::io
