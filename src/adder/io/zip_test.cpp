#include "adder/io/zip.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "adder/io/testing.h"

namespace adder::io {
namespace {

using testing::flip;
using testing::kind_of;
using testing::TemporaryFolder;

/// Little-endian bytes.
std::string number(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

class Zip : public ::testing::Test {
 protected:
  Zip() {
    ZipWriter writer(folder_.path() / "good.zip");
    writer.add("a/one", as_bytes("first"));
    writer.add("a/two", as_bytes(std::string_view()));
    writer.add("a/three", as_bytes("the third entry"));
    writer.commit();
    good_ = read_file(folder_.path() / "good.zip", 1 << 20);
    end_ = good_.size() - 22;
    directory_ = good_.find("PK\x01\x02");
  }
  std::vector<ZipEntry> read(const std::string& bytes) {
    return read_zip_directory(MappedFile(folder_.file("x.zip", bytes)));
  }
  /// The kind of the refusal after `bytes` are put at `offset`.
  ErrorKind with(std::size_t offset, const std::string& bytes) {
    std::string text = good_;
    text.replace(offset, bytes.size(), bytes);
    return kind_of([&] { read(text); });
  }

  TemporaryFolder folder_;
  std::string good_;
  std::size_t end_, directory_;
};

TEST_F(Zip, WhatIsWrittenIsRead) {
  const auto entries = read(good_);
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].name, "a/one");
  EXPECT_EQ(good_.substr(static_cast<std::size_t>(entries[2].offset), 15), "the third entry");
  EXPECT_EQ(entries[2].size, 15);
  for (const ZipEntry& entry : entries) EXPECT_EQ(entry.offset % 64, 0) << entry.name;
  EXPECT_EQ(read(good_.substr(0, end_ + 20) + number(3, 2) + "abc").size(), 3u);  // a comment
}

// The check value of CRC-32/ISO-HDLC.
TEST_F(Zip, Checksum) {
  EXPECT_EQ(crc32_of(as_bytes("123456789")), 0xcbf43926u);
}

TEST_F(Zip, LargeFields) {
  const std::string record = number(0x06064b50, 4) + number(44, 8) + number(45, 2) + number(45, 2) +
                             number(0, 8) + number(3, 8) + number(3, 8) +
                             number(end_ - directory_, 8) + number(directory_, 8);
  const std::string locator = number(0x07064b50, 4) + number(0, 4) + number(end_, 8) + number(1, 4);
  const std::string end = number(0x06054b50, 4) + number(0, 4) + number(0xffff, 2) +
                          number(0xffff, 2) + number(~0u, 4) + number(~0u, 4) + number(0, 2);
  const std::string start = good_.substr(0, end_);
  EXPECT_EQ(read(start + record + locator + end).size(), 3u);
  EXPECT_EQ(read(start + record + locator + good_.substr(end_)).size(), 3u);
  // Size and place of the first entry in the zip64 field of its header.
  std::string entry = good_.substr(directory_, 46 + 5);
  const std::string place = entry.substr(42, 4) + number(0, 4);
  entry.replace(20, 8, std::string(8, '\xff')).replace(30, 2, number(28, 2));
  entry.replace(42, 4, std::string(4, '\xff'));
  entry += number(1, 2) + number(24, 2) + number(5, 8) + number(5, 8) + place;
  const std::string wide = good_.substr(0, directory_) + entry +
                           good_.substr(directory_ + 51, end_ - directory_ - 51) +
                           number(0x06054b50, 4) + number(0, 4) + number(3, 2) + number(3, 2) +
                           number(end_ - directory_ + 28, 4) + number(directory_, 4) + number(0, 2);
  EXPECT_EQ(read(wide)[0].size, 5);

  for (const std::size_t field : {24, 32, 40, 48}) {  // counts, size and place of the directory
    std::string bad = record;
    bad.replace(field, 8, std::string(8, '\xff'));
    const ErrorKind kind = field < 40 ? ErrorKind::kUnsupported : ErrorKind::kFormat;
    EXPECT_EQ(kind_of([&] { read(start + bad + locator + end); }), kind) << field;
  }
  EXPECT_EQ(kind_of([&] { read(start + end); }), ErrorKind::kFormat);
}

TEST_F(Zip, Refusals) {
  const std::size_t second = directory_ + 46 + 5;
  EXPECT_EQ(with(directory_ + 10, number(8, 2)), ErrorKind::kUnsupported);  // compressed
  EXPECT_EQ(with(directory_ + 8, number(1, 2)), ErrorKind::kUnsupported);   // encrypted
  EXPECT_EQ(with(directory_ + 24, number(6, 4)), ErrorKind::kUnsupported);  // sizes differ
  EXPECT_EQ(with(end_ + 4, number(1, 2)), ErrorKind::kUnsupported);         // a second disk
  EXPECT_EQ(with(end_ + 8, number(9, 2)), ErrorKind::kUnsupported);
  EXPECT_EQ(with(end_ + 8, number(9, 2) + number(9, 2)), ErrorKind::kFormat);  // entries
  EXPECT_EQ(with(end_ + 12, number(9999, 4)), ErrorKind::kFormat);
  EXPECT_EQ(with(end_ + 16, number(9999, 4)), ErrorKind::kFormat);
  EXPECT_EQ(with(directory_ + 46, "b"), ErrorKind::kFormat);  // the two names differ
  EXPECT_EQ(with(8, number(8, 2)), ErrorKind::kFormat);       // the two methods differ
  EXPECT_EQ(with(6, number(8, 2)), ErrorKind::kFormat);       // the two flags
  EXPECT_EQ(with(14, number(8, 4)), ErrorKind::kFormat);      // the two checksums
  EXPECT_EQ(with(18, number(6, 4)), ErrorKind::kFormat);      // the two sizes
  EXPECT_EQ(with(22, number(6, 4)), ErrorKind::kFormat);
  EXPECT_EQ(with(0, "x"), ErrorKind::kFormat);  // no local header
  EXPECT_EQ(with(directory_ + 42, number(5, 4)), ErrorKind::kFormat);
  EXPECT_EQ(with(second + 42, number(~1u, 4)), ErrorKind::kFormat);  // outside the file
  // Reaches into the next entry, and far past the end.
  for (const uint64_t size : {uint64_t{200}, uint64_t{0xfffffffe}}) {
    EXPECT_EQ(with(directory_ + 20, number(size, 4) + number(size, 4)), ErrorKind::kFormat);
  }
  EXPECT_EQ(kind_of([&] { read(good_ + "x"); }), ErrorKind::kFormat);
  EXPECT_EQ(kind_of([&] { read("x" + good_); }), ErrorKind::kFormat);
  EXPECT_EQ(kind_of([&] { read(""); }), ErrorKind::kFormat);
}

// Flag 3: the local header leaves them out, the directory has them.
TEST_F(Zip, SizesAfterTheBytes) {
  std::string text = good_;
  text.replace(6, 2, number(8, 2)).replace(14, 12, std::string(12, '\0'));
  text.replace(directory_ + 8, 2, number(8, 2));
  EXPECT_EQ(read(text)[0].size, 5);
}

TEST_F(Zip, NamesAndBytesStandOnce) {
  // The first entry again, in place of the third: one place, one name, two entries.
  std::string text = good_.substr(0, directory_);
  const std::string one = good_.substr(directory_, 51);
  text += one + good_.substr(directory_ + 51, 51) + one;
  text += number(0x06054b50, 4) + number(0, 4) + number(3, 2) + number(3, 2) + number(153, 4) +
          number(directory_, 4) + number(0, 2);
  EXPECT_EQ(kind_of([&] { read(text); }), ErrorKind::kFormat);
  ZipWriter writer(folder_.path() / "twice.zip");
  writer.add("a", {});
  writer.add("a", {});
  writer.commit();
  EXPECT_EQ(kind_of([&] { read_zip_directory(MappedFile(folder_.path() / "twice.zip")); }),
            ErrorKind::kFormat);
}

TEST_F(Zip, EveryCutIsRefused) {
  for (std::size_t size = 0; size < good_.size(); ++size) {
    EXPECT_EQ(kind_of([&] { read(good_.substr(0, size)); }), ErrorKind::kFormat) << size;
  }
}

TEST_F(Zip, EveryFlippedBitLeavesEntriesInside) {
  const auto path = folder_.file("x.zip", good_);
  for (std::size_t bit = 0; bit < good_.size() * 8; ++bit) {
    flip(path, bit);
    try {
      int64_t end = 0;
      for (const ZipEntry& entry : read_zip_directory(MappedFile(path))) {
        EXPECT_GE(entry.offset, end) << bit;
        EXPECT_LE(entry.size, static_cast<int64_t>(good_.size()) - entry.offset) << bit;
        end = entry.offset + entry.size;
      }
    } catch (const Error&) {
    }
    flip(path, bit);
  }
}

}  // namespace
}  // namespace adder::io
