// hash, crc32c, TensorBoard events, UTF-8, TOML.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <vector>

#include "adder/base/list_text.h"
#include "adder/io/crc32c.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"
#include "adder/io/tensorboard.h"
#include "adder/io/testing.h"
#include "adder/io/toml.h"
#include "adder/io/utf8.h"

namespace adder::io {
namespace {

using testing::error_of;
using testing::kind_of;
using testing::TemporaryFolder;

// RFC 3720, B.4, and the check value of the CRC catalogue.
TEST(Crc32c, KnownAnswers) {
  std::string rising, falling;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i), falling += static_cast<char>(31 - i);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c(rising), 0x46dd794eu);
  EXPECT_EQ(crc32c(falling), 0x113fdb5cu);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

// The empty input's hash is given in xxHash's own documentation of the sanity tests (seed 0).
TEST(Hash128, EmptyInputPiecesAndFiles) {
  EXPECT_EQ(hash128_hex({}), "99aa06d3014798d86001c324468d497f");
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 300000; ++i) text += std::to_string(i);
  const auto whole = hash128_hex(as_bytes(text));
  Hash128 hash;
  for (std::size_t at = 0; at < text.size(); at += 1000)
    hash.add(as_bytes(text).subspan(at, std::min<std::size_t>(1000, text.size() - at)));
  EXPECT_EQ(hash.hex(), whole);
  EXPECT_EQ(hash128_file_hex(folder.file("a", text)), whole);
  EXPECT_EQ(hash128_file_hex(folder.file("empty", "")), hash128_hex({}));
  text[150000] ^= 1;
  EXPECT_NE(hash128_hex(as_bytes(text)), whole);
  EXPECT_EQ(kind_of([&] { hash128_file_hex(folder.path()); }), ErrorKind::kIo);
}

TEST(Utf8, AcceptsAllCodePointsAndNothingElse) {
  for (uint32_t code = 0; code <= 0x110100; ++code) {
    std::string text;
    if (code < 0x80)
      text = {static_cast<char>(code)};
    else if (code < 0x800)
      text = {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
    else if (code < 0x10000)
      text = {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 63)),
              static_cast<char>(0x80 | (code & 63))};
    else
      text = {static_cast<char>(0xf0 | code >> 18), static_cast<char>(0x80 | (code >> 12 & 63)),
              static_cast<char>(0x80 | (code >> 6 & 63)), static_cast<char>(0x80 | (code & 63))};
    const bool valid = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    ASSERT_EQ(is_utf8(text), valid) << std::hex << code;
    ASSERT_FALSE(code >= 0x80 && is_utf8(std::string_view(text).substr(0, text.size() - 1)));
  }
  for (const char* text : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",
                           "\xf5\x80\x80\x80", "\xff", "\xc2x", "\xe1\x80x"}) {
    EXPECT_FALSE(is_utf8(text));
  }
}

// An own reading of TFRecord and protobuf, written from their descriptions.
struct Event {
  double wall_time = 0;
  int64_t step = 0;
  std::string version, tag;
  float value = 0;
};

uint64_t varint(std::string_view& in) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(in.at(0));
    in.remove_prefix(1);
    value |= uint64_t{byte & 127u} << shift;
    if (byte < 128) return value;
  }
}

template <typename T>
T fixed(std::string_view& in) {
  T value;
  std::memcpy(&value, in.substr(0, sizeof(T)).data(), sizeof(T));
  in.remove_prefix(sizeof(T));
  return value;
}

void decode(std::string_view in, Event& event, int depth = 0) {
  while (!in.empty()) {
    const uint64_t key = varint(in);
    if (key % 8 == 2) {
      const auto size = varint(in);
      const auto bytes = in.substr(0, size);
      in.remove_prefix(size);
      if (depth == 0 && key / 8 == 3) event.version = bytes;
      if (depth == 2 && key / 8 == 1) event.tag = bytes;
      if ((depth == 0 && key / 8 == 5) || (depth == 1 && key / 8 == 1))
        decode(bytes, event, depth + 1);
    } else if (key % 8 == 1) {
      event.wall_time = fixed<double>(in);
    } else if (key % 8 == 5) {
      event.value = fixed<float>(in);
    } else {
      ASSERT_EQ(key, 2u * 8);
      event.step = static_cast<int64_t>(varint(in));
    }
  }
}

uint32_t unmask(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8u;
  return rotated >> 17 | rotated << 15;
}

TEST(EventWriter, AnIndependentReaderFindsTheScalars) {
  const TemporaryFolder folder;
  EventWriter writer(folder.path() / "run");
  const EventWriter other(folder.path() / "run");
  EXPECT_NE(writer.path(), other.path());
  EXPECT_TRUE(writer.path().filename().string().starts_with("events.out.tfevents."));
  writer.scalar("train/loss", 300, 1.875f, 1700000000.25);
  writer.scalar("", -1, -0.5f);
  writer.flush();
  const std::string content = read_file(writer.path(), 1 << 20);
  std::string_view in = content;
  std::vector<Event> events;
  while (!in.empty()) {
    const auto head = in.substr(0, 8);
    const auto size = fixed<uint64_t>(in);
    EXPECT_EQ(unmask(fixed<uint32_t>(in)), crc32c(head));
    const auto body = in.substr(0, size);
    in.remove_prefix(size);
    EXPECT_EQ(unmask(fixed<uint32_t>(in)), crc32c(body));
    decode(body, events.emplace_back());
  }
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].version, "brain.Event:2");
  EXPECT_EQ(events[1].tag, "train/loss");
  EXPECT_EQ(events[1].step, 300);
  EXPECT_EQ(events[1].value, 1.875f);
  EXPECT_EQ(events[1].wall_time, 1700000000.25);
  EXPECT_EQ(events[2].step, -1);
  EXPECT_EQ(events[2].value, -0.5f);
  EXPECT_GT(events[2].wall_time, 1.7e9);
}

TEST(Toml, FlattensInTheOrderOfTheFile) {
  const auto entries = parse_toml(
      "name = \"x # y\"\n"
      "z.a = 1_000\n"
      "\n"
      "[train]\n"
      "lr = 3e-4  # comment\n"
      "files = [\"a,b\", 'c']\n"
      "betas = [\n 0.9,\n 0.95 ]\n"
      "none = []\n"
      "[train.more]\n"
      "flag = true\n"
      "limit = inf\n",
      "r.toml");
  std::string all;
  for (const auto& e : entries) all += e.key + "=" + e.text + "@" + std::to_string(e.line) + "\n";
  EXPECT_EQ(
      all,
      "name=x # y@1\nz.a=1000@2\ntrain.lr=3e-04@5\ntrain.files=a\\,b,c@6\ntrain.betas=0.9,0.95@7\n"
      "train.none=@10\ntrain.more.flag=true@12\ntrain.more.limit=inf@13\n");
  EXPECT_EQ(split_list(entries[3].text), (std::vector<std::string>{"a,b", "c"}));
  const TemporaryFolder folder;
  EXPECT_EQ(read_toml(folder.file("r.toml", "a = 1\n"))[0].key, "a");
}

TEST(Toml, ErrorsNameFileAndLine) {
  const auto what = [](const std::string& text) {
    const auto error = error_of([&] { parse_toml(text, "r.toml"); });
    EXPECT_TRUE(error && error->kind() == ErrorKind::kConfig) << text;
    return error ? error->text().what : "";
  };
  EXPECT_TRUE(what("a = 1\nb = \n").starts_with("r.toml:2: "));
  EXPECT_TRUE(what("a = 1\na = 2\n").starts_with("r.toml:2: "));
  EXPECT_TRUE(what("\n\nx = 1979-05-27\n").starts_with("r.toml:3: x: expected a number"));
  EXPECT_TRUE(what("a = [[1]]").starts_with("r.toml:1: a: expected"));
  EXPECT_TRUE(what("[[a]]\nb = 1").starts_with("r.toml:1: a: expected"));
  EXPECT_TRUE(what("\"a.b\" = 1").starts_with("r.toml:1: the key"));
  for (const char* text :
       {"a", "= 1", "[a", "a = \"", "a = 1 2", "a = \"\xff\"", "a = 9223372036854775808"})
    what(text);
  std::string deep = "a";
  for (int i = 0; i < 100000; ++i) deep += ".a";
  EXPECT_EQ(what(deep + " = 1"), "r.toml:1: too large for a recipe");
  EXPECT_FALSE(what("a = " + std::string(100000, '[')).empty());
  std::string few_dots = "a";  // within the limit on dots
  for (int i = 0; i < 4000; ++i) few_dots += ".a";
  EXPECT_EQ(what(few_dots + " = 1"), "r.toml:1: groups nested too deep");
  EXPECT_EQ(parse_toml("a.b.c.d.e.f.g.h = 1", "r.toml").size(), 1u);
}

}  // namespace
}  // namespace adder::io
