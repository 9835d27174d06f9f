#include "adder/io/byte_stream.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"
#include "adder/io/test_compress.h"
#include "adder/io/testing.h"

namespace adder::io {
namespace {

std::string read_everything(const std::filesystem::path& path, size_t piece) {
  ByteStream stream(path);
  std::string all;
  std::vector<std::byte> buffer(piece);
  while (const size_t count = stream.read(buffer)) {
    all.append(reinterpret_cast<const char*>(buffer.data()), count);
  }
  EXPECT_EQ(stream.file_bytes_read(), stream.file_bytes());
  EXPECT_EQ(stream.read(buffer), 0u);
  return all;
}

/// Text that does not compress to nothing, longer than every buffer.
std::string long_text() {
  std::string text;
  for (uint32_t i = 0; text.size() < 1500000; ++i) text += std::to_string(i * 2654435761u) + "\n";
  return text;
}

TEST(ByteStream, EveryCodingGivesTheSameBytes) {
  const testing::TemporaryFolder folder;
  const std::string text = long_text();
  const std::string half = text.substr(0, 700000), rest = text.substr(700000);
  for (const auto& [name, bytes] : {std::pair<std::string, std::string>{"a.txt", text},
                                    {"a.txt.gz", gzip(text)},
                                    {"a.txt.zst", zstd(text)},
                                    {"members.gz", gzip(half) + gzip("") + gzip(rest)},
                                    {"frames.zst", zstd(half) + zstd("") + zstd(rest)}}) {
    folder.file(name, bytes);
    for (const size_t piece : {1000u, 1u << 20}) {
      EXPECT_TRUE(read_everything(folder.path() / name, piece) == text) << name << " " << piece;
    }
  }
  folder.file("empty.gz", gzip(""));
  folder.file("empty.zst", zstd(""));
  folder.file("empty.txt", "");
  for (const char* name : {"empty.gz", "empty.zst", "empty.txt"}) {
    EXPECT_EQ(read_everything(folder.path() / name, 100), "") << name;
  }
}

TEST(ByteStream, EveryTruncationIsAnError) {
  const testing::TemporaryFolder folder;
  for (const auto& [name, bytes] :
       {std::pair<std::string, std::string>{"cut.gz", gzip("some text, some more text, and more")},
        {"cut.zst", zstd("some text, some more text, and more")}}) {
    for (size_t size = 0; size < bytes.size(); ++size) {
      folder.file(name, bytes.substr(0, size));
      EXPECT_THROW(read_everything(folder.path() / name, 100), Error) << name << " " << size;
    }
  }
}

TEST(ByteStream, DamageIsAnErrorWithThePlace) {
  const testing::TemporaryFolder folder;
  std::string damaged = gzip(long_text());
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x55);
  folder.file("damaged.gz", damaged);
  folder.file("text.gz", "plain text");
  folder.file("text.zst", "plain text");
  folder.file("tail.gz", gzip("text") + "tail");
  for (const char* name : {"damaged.gz", "text.gz", "text.zst", "tail.gz"}) {
    try {
      read_everything(folder.path() / name, 1000);
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kFormat);
      EXPECT_NE(error.text().where.find(name), std::string::npos) << error.what();
      EXPECT_NE(error.text().where.find("byte"), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(ByteStream{folder.path() / "missing.gz"}, Error);
  EXPECT_THROW(ByteStream{folder.path()}, Error);
}

}  // namespace
}  // namespace adder::io
