#include "adder/data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "adder/base/error.h"
#include "adder/data/shard_writer.h"
#include "adder/data/test_folder.h"
#include "adder/text/byte_tokenizer.h"

namespace adder::data {
namespace {

/// One document whose token at position i is i (mod 256).
ShardSet counting(const TestFolder& folder, int64_t tokens) {
  std::vector<int32_t> ids(static_cast<size_t>(tokens));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i % 256);
  const text::ByteTokenizer tokenizer;
  ShardWriter writer(folder / "set", tokenizer, {.shard_tokens = 50});
  writer.add_document(ids);
  writer.finish();
  return ShardSet::open(folder / "set");
}

ShardSet texts(const TestFolder& folder, std::initializer_list<std::string_view> documents) {
  const text::ByteTokenizer tokenizer;
  ShardWriter writer(folder / "set", tokenizer);
  for (const std::string_view document : documents) writer.add_document(document);
  writer.finish();
  return ShardSet::open(folder / "set");
}

template <typename T>
std::vector<int64_t> values(const Batch& batch, const char* name) {
  const auto span = batch.at(name).as<T>();
  return {span.begin(), span.end()};
}

bool same(const Batch& a, const Batch& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, array] : a) {
    const Array& other = b.at(name);
    if (array.dtype != other.dtype || array.shape != other.shape || array.bytes != other.bytes)
      return false;
  }
  return true;
}

TEST(TokenLoader, EachEpochUsesEachWindowOnce) {
  const TestFolder folder;
  const ShardSet set = counting(folder, 200);
  TokenLoader loader(set, {10, 190}, {.batch_size = 3, .length = 8, .seed = 5});
  EXPECT_FALSE(loader.has_seq_idx());
  std::vector<int64_t> rows;  // first tokens, in the order drawn
  for (int i = 0; i < 60; ++i) {
    const Batch batch = loader.next();
    EXPECT_EQ(batch.at("tokens").shape, (std::vector<int64_t>{3, 8}));
    EXPECT_EQ(batch.count("seq_idx"), 0u);
    const auto tokens = values<int32_t>(batch, "tokens");
    const auto targets = values<int64_t>(batch, "targets");
    for (size_t t = 0; t < tokens.size(); ++t) {
      EXPECT_EQ(tokens[t], tokens[t - t % 8] + static_cast<int64_t>(t % 8));
      EXPECT_EQ(targets[t], tokens[t] + 1);
      if (t % 8 == 0) rows.push_back(tokens[t]);
    }
  }
  size_t at = 0;
  std::set<int64_t> phases;
  bool shuffled = false;
  for (int64_t epoch = 0; at + 22 < rows.size(); ++epoch) {
    const auto count = static_cast<size_t>(loader.windows(epoch));
    EXPECT_TRUE(count == 21 || count == 22);  // 180 tokens: (180 - 1 - phase) / 8
    std::vector<int64_t> starts(rows.begin() + static_cast<std::ptrdiff_t>(at),
                                rows.begin() + static_cast<std::ptrdiff_t>(at + count));
    shuffled |= !std::is_sorted(starts.begin(), starts.end());
    std::sort(starts.begin(), starts.end());
    EXPECT_GE(starts.front(), 10);
    EXPECT_LT(starts.front(), 18);
    EXPECT_LE(starts.back() + 8, 189);
    for (size_t i = 0; i < count; ++i)
      EXPECT_EQ(starts[i], starts[0] + 8 * static_cast<int64_t>(i));
    phases.insert(starts[0] - 10);
    at += count;
  }
  EXPECT_TRUE(shuffled);
  EXPECT_GT(phases.size(), 2u);
}

TEST(TokenLoader, ResumesAtTheExactToken) {
  for (const PackMode mode : {PackMode::kPacked, PackMode::kDocs}) {
    const TestFolder folder;
    const ShardSet set =
        texts(folder, {"the first one", "two", "a third document", "and the last of them"});
    const LoaderOptions options{.batch_size = 2, .length = 5, .seed = 9, .mode = mode};
    TokenLoader straight(set, set.all(), options);
    for (int k = 0; k < 25; ++k) {
      TokenLoader resumed(set, set.all(), options);
      resumed.seek(io::Json::parse(straight.cursor().dump()));
      const Batch now = straight.next();
      ASSERT_TRUE(same(now, resumed.next())) << k;
      TokenLoader again(set, set.all(), options);
      for (int i = 0; i < k; ++i) again.next();
      ASSERT_TRUE(same(now, again.next())) << k;
      EXPECT_EQ(again.cursor(), straight.cursor());
    }
  }
}

TEST(TokenLoader, StraightEqualsInterrupted) {
  const TestFolder folder;
  const ShardSet set = counting(folder, 333);
  const LoaderOptions options{.batch_size = 4, .length = 16, .seed = 2};
  TokenLoader straight(set, set.all(), options);
  std::vector<Batch> batches;
  for (int i = 0; i < 30; ++i) batches.push_back(straight.next());
  for (const size_t k : {0u, 1u, 5u, 13u, 29u}) {
    TokenLoader first(set, set.all(), options);
    for (size_t i = 0; i < k; ++i) first.next();
    TokenLoader second(set, set.all(), options);
    second.seek(first.cursor());
    for (size_t i = k; i < batches.size(); ++i)
      ASSERT_TRUE(same(second.next(), batches[i])) << k << " " << i;
    EXPECT_EQ(second.progress(), straight.progress());
  }
  const io::Json before = straight.cursor();
  const auto refused = [&](io::Json portion) {
    const io::Json cursor = {{"rows", 4}, {"portions", {std::move(portion)}}};
    EXPECT_THROW(straight.seek(cursor), Error) << cursor;
  };
  refused({{"epoch", 0}, {"index", 0}});
  refused({{"epoch", -1}, {"index", 0}, {"windows", 20}});
  refused({{"epoch", 0}, {"index", 99}, {"windows", straight.windows(0)}});
  refused({{"epoch", 0}, {"index", 0}, {"windows", 7}});
  EXPECT_THROW(straight.seek({{"rows", 0}, {"portions", io::Json::array()}}), Error);
  EXPECT_EQ(straight.cursor(), before);
  EXPECT_THROW(straight.seek(io::Json("text")), Error);
}

TEST(TokenLoader, SeedsGiveDifferentOrders) {
  const TestFolder folder;
  const ShardSet set = texts(folder, {"ab", "cd", "ef", "gh", "ij", "kl", "mn", "op", "qr"});
  const auto order = [&](int64_t seed) {
    const LoaderOptions options{
        .batch_size = 9, .length = 2, .seed = seed, .mode = PackMode::kDocs};
    return values<int32_t>(TokenLoader(set, set.all(), options).next(), "tokens");
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1), order(2));  // 1 in 362,880 by chance
}

// [a b c E] [d E] [e f g E], windows of four: by hand.
TEST(TokenLoader, PackedRowsNumberTheirDocuments) {
  const TestFolder folder;
  const ShardSet set = texts(folder, {"abc", "d", "efg"});
  const TokenLoader loader(set, set.all(), {.batch_size = 1, .length = 4});
  ASSERT_EQ(loader.eval_windows(), 2);
  const Batch batch = loader.eval_batch(0, 2);
  EXPECT_EQ(values<int32_t>(batch, "tokens"),
            (std::vector<int64_t>{'a', 'b', 'c', 256, 'd', 256, 'e', 'f'}));
  EXPECT_EQ(values<int64_t>(batch, "targets"),
            (std::vector<int64_t>{'b', 'c', 256, -100, 256, -100, 'f', 'g'}));
  EXPECT_EQ(values<int32_t>(batch, "seq_idx"), (std::vector<int64_t>{0, 0, 0, 0, 0, 0, 1, 1}));
}

TEST(TokenLoader, PackedCountsEveryDocumentOfARow) {
  const TestFolder folder;
  const ShardSet set = texts(folder, {"a", "b", "cd"});  // [a E] [b E] [c d E]
  const TokenLoader loader(set, set.all(), {.batch_size = 1, .length = 6});
  const Batch batch = loader.eval_batch(0, 1);
  EXPECT_EQ(values<int32_t>(batch, "seq_idx"), (std::vector<int64_t>{0, 0, 1, 1, 2, 2}));
  EXPECT_EQ(values<int64_t>(batch, "targets"),
            (std::vector<int64_t>{256, -100, 256, -100, 'd', 256}));
}

TEST(TokenLoader, DocsRowsNeverCross) {
  const TestFolder folder;
  const ShardSet set = texts(folder, {"abcde", "f", "ghi"});  // [a b c d e E] [f E] [g h i E]
  const TokenLoader loader(set, set.all(), {.batch_size = 1, .length = 3, .mode = PackMode::kDocs});
  ASSERT_EQ(loader.eval_windows(), 4);
  const Batch batch = loader.eval_batch(0, 4);
  EXPECT_EQ(values<int32_t>(batch, "tokens"),
            (std::vector<int64_t>{'a', 'b', 'c', 'd', 'e', 0, 'f', 0, 0, 'g', 'h', 'i'}));
  EXPECT_EQ(values<int64_t>(batch, "targets"),
            (std::vector<int64_t>{'b', 'c', 'd', 'e', 256, -100, 256, -100, -100, 'h', 'i', 256}));
  EXPECT_EQ(values<int32_t>(batch, "seq_idx"),
            (std::vector<int64_t>{0, 0, 0, 0, 0, -1, 0, -1, -1, 0, 0, 0}));
}

TEST(TokenLoader, DocsPredictEveryTokenButTheFirstOnce) {
  const TestFolder folder;
  const ShardSet set = texts(folder, {"abcdefghij", "k", "lmnop", "qr"});
  for (int64_t length = 1; length < 13; ++length) {
    TokenLoader loader(set, set.all(),
                       {.batch_size = 1, .length = length, .mode = PackMode::kDocs});
    std::multiset<int64_t> predicted;
    for (int64_t i = 0; i < loader.windows(0); ++i) {
      for (const int64_t target : values<int64_t>(loader.next(), "targets")) {
        if (target != kIgnoreTarget) predicted.insert(target);
      }
    }
    std::multiset<int64_t> expected;
    for (const char c : std::string("bcdefghijmnopr")) expected.insert(c);
    for (int i = 0; i < 4; ++i) expected.insert(256);
    EXPECT_EQ(predicted, expected) << length;
  }
}

TEST(TokenLoader, FewWindowsStillFillABatch) {
  const TestFolder folder;
  const ShardSet set = counting(folder, 9);
  TokenLoader loader(set, set.all(), {.batch_size = 3, .length = 8});
  const auto tokens = values<int32_t>(loader.next(), "tokens");
  for (size_t t = 0; t < tokens.size(); ++t) EXPECT_EQ(tokens[t], static_cast<int64_t>(t % 8));
  EXPECT_EQ(loader.progress(), 3);
}

TEST(TokenLoader, RefusesWhatCannotWork) {
  const TestFolder folder;
  const ShardSet set = counting(folder, 9);
  const auto make = [&](TokenRange range, LoaderOptions options) {
    return error_of([&] { TokenLoader(set, range, options); });
  };
  const std::string message = make({0, 8}, {.batch_size = 1, .length = 8});
  EXPECT_NE(message.find("8 tokens"), std::string::npos) << message;
  EXPECT_NE(message.find("needs 9"), std::string::npos) << message;
  EXPECT_NE(make({0, 0}, {.batch_size = 1, .length = 1}), "");
  EXPECT_NE(make({0, 9}, {.batch_size = 0, .length = 1}), "");
  EXPECT_NE(make({0, 9}, {.batch_size = 1, .length = 0}), "");
  EXPECT_NE(make({0, 9}, {.batch_size = int64_t{1} << 40, .length = 8}), "");
  EXPECT_NE(make({0, 10}, {.batch_size = 1, .length = 8}), "");
  EXPECT_NE(make({0, 1}, {.batch_size = 1, .length = 8, .mode = PackMode::kDocs}), "");
  EXPECT_THROW((void)parse_pack_mode("pack"), Error);
  const TokenLoader loader(set, set.all(), {.batch_size = 1, .length = 4});
  EXPECT_THROW((void)loader.eval_batch(1, 2), Error);
}

TEST(TokenLoader, PackedWindowsOfAStrideOverlapByTheRest) {
  const TestFolder folder;
  const ShardSet set = counting(folder, 200);
  TokenLoader loader(set, {10, 190}, {.batch_size = 1, .length = 8, .seed = 5, .stride = 3});
  const int64_t windows = loader.windows(0);
  std::vector<int64_t> begins;
  for (int64_t i = 0; i < windows; ++i) {
    const auto tokens = values<int32_t>(loader.next(), "tokens");
    for (size_t t = 1; t < tokens.size(); ++t) ASSERT_EQ(tokens[t], tokens[0] + int64_t(t));
    begins.push_back(tokens[0]);
  }
  std::ranges::sort(begins);
  EXPECT_GE(begins.front(), 10);
  EXPECT_LT(begins.front(), 13);  // the phase
  for (size_t i = 1; i < begins.size(); ++i) EXPECT_EQ(begins[i], begins[i - 1] + 3);
  EXPECT_LE(begins.back() + 9, 190);  // with its last target
  EXPECT_GT(begins.back() + 9 + 3, 190);
}

TEST(TokenLoader, DocumentWindowsOfAStrideReachTheEndAndNoFurther) {
  constexpr int64_t kLength = 4, kStride = 3;
  for (int64_t size = 2; size <= 16; ++size) {
    const TestFolder folder;
    const ShardSet set = counting(folder, size);
    const TokenLoader loader(set, {0, size},
                             {.length = kLength, .mode = PackMode::kDocs, .stride = kStride});
    std::vector<int> seen(size_t(size), 0);  // how often each token is a target
    for (int64_t w = 0; w < loader.eval_windows(); ++w) {
      const Batch batch = loader.eval_batch(w, 1);
      EXPECT_EQ(values<int32_t>(batch, "tokens")[0], w * kStride);
      EXPECT_EQ(values<int32_t>(batch, "seq_idx")[0], 0);
      for (const int64_t target : values<int64_t>(batch, "targets")) {
        if (target >= 0) ++seen[size_t(target)];
      }
    }
    EXPECT_EQ(seen[0], 0);
    for (size_t i = 1; i < seen.size(); ++i) {
      EXPECT_GE(seen[i], 1) << "token " << i << " of " << size;
      EXPECT_LE(seen[i], 2);
    }
    // Not one window more than it takes.
    if (loader.eval_windows() > 1)
      EXPECT_LT((loader.eval_windows() - 2) * kStride + kLength, size - 1) << size;
  }
}

TEST(TokenLoader, AStrideOfTheLengthIsNone) {
  const TestFolder folder;
  const ShardSet set = counting(folder, 200);
  TokenLoader plain(set, {0, 200}, {.length = 8}),
      same_stride(set, {0, 200}, {.length = 8, .stride = 8});
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(same(plain.next(), same_stride.next()));
  for (const int64_t stride : {-1, 9}) {
    EXPECT_NE(error_of([&] {
                TokenLoader(set, {0, 200}, {.length = 8, .stride = stride});
              }).find("data.stride"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace adder::data
