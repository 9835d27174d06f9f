#include <zlib.h>

#include <algorithm>

#include "adder/io/zip.h"
#include "adder/io/zip_layout.h"

namespace adder::io {
namespace {

using namespace zip;

constexpr uint64_t kAlignment = 64;
constexpr uint64_t kVersion = 45;       // 4.5: zip64
constexpr uint64_t kDate = 1 << 5 | 1;  // 1980-01-01: the bytes do not depend on the clock
constexpr uint64_t kPadding = 0x4246;   // "FB", torch's own id of an extra field that only pads

class Bytes {
 public:
  Bytes& put(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) text_ += static_cast<char>(value >> (8 * i) & 0xff);
    return *this;
  }
  Bytes& put(std::string_view text) {
    text_ += text;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

uint64_t small(uint64_t value) {
  return std::min(value, kIn64);
}

/// The zip64 field with those of the values that do not fit 32 bits; empty when all fit.
std::string extra64(std::initializer_list<uint64_t> values) {
  Bytes field;
  for (const uint64_t value : values) {
    if (value >= kIn64) field.put(value, 8);
  }
  if (field.text().empty()) return {};
  return Bytes().put(kExtra64, 2).put(field.text().size(), 2).put(field.text()).text();
}

/// What both headers of an entry hold, from the version to the length of the name.
std::string common_fields(uint32_t crc, uint64_t size, const std::string& name) {
  return Bytes()
      .put(kVersion, 2)
      .put(0, 2)  // flags
      .put(0, 2)  // stored
      .put(0, 2)  // the time
      .put(kDate, 2)
      .put(crc, 4)
      .put(small(size), 4)
      .put(small(size), 4)
      .put(name.size(), 2)
      .text();
}

}  // namespace

uint32_t crc32_of(std::span<const std::byte> bytes) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

void ZipWriter::write(std::string_view bytes) {
  file_.write(as_bytes(bytes));
  position_ += bytes.size();
}

void ZipWriter::add(const std::string& name, std::span<const std::byte> bytes) {
  const uint64_t size = bytes.size();
  const Written entry{name, position_, size, crc32_of(bytes)};
  const std::string sizes = size >= kIn64 ? extra64({size, size}) : "";
  const uint64_t before = position_ + uint64_t{kLocalBytes} + name.size() + sizes.size() + 4;
  const uint64_t padding = (kAlignment - before % kAlignment) % kAlignment;
  write(Bytes()
            .put(kLocalHeader, 4)
            .put(common_fields(entry.crc, size, name))
            .put(sizes.size() + 4 + padding, 2)
            .put(name)
            .put(sizes)
            .put(kPadding, 2)
            .put(padding, 2)
            .put(std::string(static_cast<std::size_t>(padding), '\0'))
            .text());
  file_.write(bytes);
  position_ += size;
  entries_.push_back(entry);
}

void ZipWriter::commit() {
  const uint64_t begin = position_;
  for (const Written& entry : entries_) {
    const std::string extra = extra64({entry.size, entry.size, entry.header_offset});
    write(Bytes()
              .put(kCentralHeader, 4)
              .put(kVersion, 2)
              .put(common_fields(entry.crc, entry.size, entry.name))
              .put(extra.size(), 2)
              .put(0, 6)
              .put(0, 4)
              .put(small(entry.header_offset), 4)
              .put(entry.name)
              .put(extra)
              .text());
  }
  const uint64_t end = position_, count = entries_.size();
  const bool in64 = count >= kCountIn64 || begin >= kIn64;
  if (in64) {
    write(Bytes()
              .put(kEnd64, 4)
              .put(kEnd64Bytes - 12, 8)
              .put(kVersion, 2)
              .put(kVersion, 2)
              .put(0, 8)
              .put(count, 8)
              .put(count, 8)
              .put(end - begin, 8)
              .put(begin, 8)
              .text());
    write(Bytes().put(kEnd64Locator, 4).put(0, 4).put(end, 8).put(1, 4).text());
  }
  const uint64_t shown = in64 ? kCountIn64 : count;
  write(Bytes()
            .put(kEnd, 4)
            .put(0, 4)
            .put(shown, 2)
            .put(shown, 2)
            .put(in64 ? kIn64 : end - begin, 4)
            .put(in64 ? kIn64 : begin, 4)
            .put(0, 2)
            .text());
  file_.commit();
}

}  // namespace adder::io
