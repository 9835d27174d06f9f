// The small parts of the room: checked sizes, errors, the log, aligned memory.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "adder/base/aligned.h"
#include "adder/base/checked.h"
#include "adder/base/error.h"
#include "adder/base/log.h"

namespace adder {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(Checked, GivesTheResultOrThrows) {
  EXPECT_EQ(checked_mul<int64_t>(1 << 20, 1 << 20, "x"), int64_t{1} << 40);
  EXPECT_THROW(checked_mul(int64_t{1} << 32, int64_t{1} << 31, "x"), Error);
  EXPECT_EQ(checked_add(kMax - 1, int64_t{1}, "x"), kMax);
  EXPECT_THROW(checked_add(kMax, int64_t{1}, "x"), Error);
  EXPECT_THROW(checked_mul<uint64_t>(UINT64_MAX, 2, "x"), Error);
  EXPECT_EQ(checked_cast<int32_t>(int64_t{-5}, "x"), -5);
  EXPECT_THROW(checked_cast<int64_t>(uint64_t{1} << 63, "x"), Error);
  EXPECT_THROW(checked_cast<uint8_t>(-1, "x"), Error);
  try {
    checked_mul(kMax, int64_t{2}, "tensor 'w'", ErrorKind::kShape);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kShape);
    EXPECT_NE(error.text().what.find("tensor 'w'"), std::string::npos);
  }
}

TEST(Checked, Product) {
  const auto product = [](std::vector<int64_t> shape) { return checked_product(shape, "x"); };
  EXPECT_EQ(product({}), 1);
  EXPECT_EQ(product({2, 3, 4}), 24);
  EXPECT_EQ(product({2, 0, 4}), 0);
  EXPECT_THROW(product({2, -1}), Error);
  EXPECT_THROW(product({0, -1}), Error);
  EXPECT_THROW(product({int64_t{1} << 32, int64_t{1} << 32}), Error);
  EXPECT_THROW(product({0, int64_t{1} << 32, int64_t{1} << 32}), Error);
}

TEST(Error, JoinsItsParts) {
  const Error error(ErrorKind::kFormat, {.what = "a", .where = "b", .why = "c", .next = "d"});
  EXPECT_STREQ(error.what(), "bad file: a\n  where: b\n  why:   c\n  next:  d");
  EXPECT_EQ(error.within("o").text().where, "o, b");
  EXPECT_EQ(exit_code(ErrorKind::kConfig), 2);
  EXPECT_EQ(exit_code(ErrorKind::kUsage), 2);
  EXPECT_EQ(exit_code(ErrorKind::kIo), 1);
}

TEST(Log, GoesToTheSinkAndWarnsOnce) {
  log_warn_once("base_test.before", "nobody listens");
  std::vector<std::string> lines;
  auto before = set_log_sink([&](LogLevel level, std::string_view text) {
    lines.push_back((level == LogLevel::kWarning ? "warning " : "info ") + std::string(text));
  });
  log_info("one");
  log_warn_once("base_test.key", "two");
  log_warn_once("base_test.key", "three");
  log_warn_once("base_test.before", "four");
  set_log_sink(std::move(before));
  log_info("five");
  EXPECT_EQ(lines, (std::vector<std::string>{"info one", "warning two", "warning four"}));
}

TEST(AlignedBuffer, IsAlignedAndMoves) {
  AlignedBuffer<float> buffer(5);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % kCacheLine, 0u);
  buffer.fill_zero();
  buffer[4] = 3;
  AlignedBuffer<float> moved = std::move(buffer);
  EXPECT_EQ(moved.size(), 5);
  EXPECT_EQ(moved[4], 3);
  EXPECT_EQ(buffer.size(), 0);  // NOLINT(bugprone-use-after-move): what a move leaves is promised
  buffer.resize(7);
  EXPECT_EQ(buffer.span().size(), 7u);
  EXPECT_THROW(buffer.resize(kMax), Error);
}

}  // namespace
}  // namespace adder
