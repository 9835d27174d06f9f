#include "adder/cli/byte_size.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"

namespace adder::cli {
namespace {

TEST(ByteSize, ReadsNumbersAndUnits) {
  EXPECT_EQ(parse_byte_size("3GB", ""), 3'000'000'000);
  EXPECT_EQ(parse_byte_size("3 gb", ""), 3'000'000'000);
  EXPECT_EQ(parse_byte_size("3g", ""), 3'000'000'000);
  EXPECT_EQ(parse_byte_size("1.5GiB", ""), 3 * (int64_t{1} << 29));
  EXPECT_EQ(parse_byte_size("800M", ""), 800'000'000);
  EXPECT_EQ(parse_byte_size("64 KiB", ""), 65536);
  EXPECT_EQ(parse_byte_size("2T", ""), 2'000'000'000'000);
  EXPECT_EQ(parse_byte_size("4096", ""), 4096);
  EXPECT_EQ(parse_byte_size("4096B", ""), 4096);
}

TEST(ByteSize, RefusesTheRestAndSaysWhere) {
  for (const char* text : {"", "GB", "3XB", "3GBs", "3iB", "3kk", "-1GB", "0", "0.2", "nan", "inf",
                           "1e30", "3,5GB", "9999999TB", "3 GB 4"}) {
    try {
      parse_byte_size(text, "--memory");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_EQ(error.text().where, "--memory");
    }
  }
}

}  // namespace
}  // namespace adder::cli
