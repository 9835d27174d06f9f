#include "adder/infer/token_history.h"

#include <gtest/gtest.h>

#include <set>

#include "adder/base/error.h"
#include "adder/base/rng.h"

namespace adder::infer {
namespace {

TEST(TokenHistory, KnowsWhatOccurredAndTheLast) {
  Rng rng(3);
  std::vector<int32_t> all;
  TokenHistory history;
  for (const int count : {0, 1, 7, 255, 1, 256, 700, 3}) {
    std::vector<int32_t> ids;
    for (int i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(rng.below(3000)));
    all.insert(all.end(), ids.begin(), ids.end());
    history.add(ids);
    const std::size_t last = std::min(all.size(), TokenHistory::kLast);
    EXPECT_EQ(history.last(), std::vector<int32_t>(all.end() - static_cast<int>(last), all.end()));
  }
  const std::set<int32_t> known(all.begin(), all.end());
  for (int32_t id = -1; id < 3010; ++id) EXPECT_EQ(history.occurred(id), known.contains(id)) << id;
  EXPECT_LE(history.occurred_bits().size(), 3000u / 8);
  EXPECT_THROW(history.add(std::vector<int32_t>{-1}), Error);

  const TokenHistory again(history.occurred_bits(), history.last());
  EXPECT_EQ(again.occurred_bits(), history.occurred_bits());
  EXPECT_EQ(again.last(), history.last());
}

TEST(TokenHistory, PartsThatContradictEachOtherAreRefused) {
  EXPECT_NO_THROW(TokenHistory({}, {}));
  EXPECT_NO_THROW(TokenHistory({0x05}, {0, 2}));
  EXPECT_THROW(TokenHistory({0x05}, {1}), Error);     // did not occur
  EXPECT_THROW(TokenHistory({0x05}, {-1}), Error);    // no token
  EXPECT_THROW(TokenHistory({0x05}, {}), Error);      // something occurred, but there is no last
  EXPECT_THROW(TokenHistory({0x05, 0}, {0}), Error);  // ends with an empty byte
  EXPECT_THROW(TokenHistory({0x01}, std::vector<int32_t>(TokenHistory::kLast + 1)), Error);
}

}  // namespace
}  // namespace adder::infer
