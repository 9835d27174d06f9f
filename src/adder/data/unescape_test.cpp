#include "adder/data/unescape.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"

namespace adder::data {
namespace {

TEST(Unescape, KnowsFourEscapes) {
  EXPECT_EQ(unescape("a\\n\\t\\r\\\\b"), "a\n\t\r\\b");
  EXPECT_EQ(unescape(""), "");
  EXPECT_THROW((void)unescape("\\"), Error);
  EXPECT_THROW((void)unescape("\\x"), Error);
}

}  // namespace
}  // namespace adder::data
