#include "adder/kernels/dispatch.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"

namespace adder::kernels {
namespace {

TEST(Dispatch, ParsesEveryWord) {
  for (const Isa isa : kAllIsas) EXPECT_EQ(parse_isa(to_string(isa), Isa::avx512), isa);
  EXPECT_EQ(parse_isa("", Isa::avx2), Isa::avx2);
}

TEST(Dispatch, AnUnknownWordIsAnError) {
  for (const char* word : {"sse", "AVX2", "avx512 ", "avx512x"}) {
    try {
      parse_isa(word, Isa::avx512);
      FAIL() << word;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_NE(error.text().next.find("portable, avx2, avx512"), std::string::npos);
    }
  }
}

TEST(Dispatch, MoreThanTheMachineHasIsAnError) {
  try {
    parse_isa("avx512", Isa::avx2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
  }
}

TEST(Dispatch, AScopeChoosesTheVariantAndEnds) {
  const auto number = [](auto n) { return +[] { return decltype(n)::value; }; };
  const auto chosen = [&] {
    return pick(number(std::integral_constant<int, 0>()), number(std::integral_constant<int, 1>()),
                number(std::integral_constant<int, 2>()))();
  };
  const Isa before = active_isa();
  for (const Isa isa : kAllIsas) {
    if (isa > best_isa()) continue;
    const IsaScope scope(isa);
    EXPECT_EQ(active_isa(), isa);
    EXPECT_EQ(chosen(), static_cast<int>(isa));
  }
  EXPECT_EQ(active_isa(), before);
}

}  // namespace
}  // namespace adder::kernels
