#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "adder/base/error.h"
#include "adder/data/corpora.h"
#include "adder/data/loader.h"
#include "adder/data/prepare.h"
#include "adder/data/test_folder.h"
#include "adder/io/json.h"
#include "adder/io/test_compress.h"

namespace adder::data {
namespace {

DataOptions options_for(const TestFolder& folder, std::vector<std::string> text) {
  DataOptions options;
  for (const std::string& name : text) options.text.push_back((folder / name).string());
  options.tokenizer = "byte";
  options.cache = (folder / "cache").string();
  return options;
}

/// The texts of the documents in `portions`, their eos left out.
std::multiset<std::string> documents_in(const PreparedData& data,
                                        const std::vector<Portion>& portions) {
  std::multiset<std::string> documents;
  for (const Portion& portion : portions) {
    for (int64_t i = data.shards->document_at(portion.ranges.at(0).begin);; ++i) {
      documents.insert(data.tokenizer->decode(data.shards->copy(data.shards->document(i))));
      if (data.shards->document(i).end == portion.ranges.at(0).end) break;
    }
  }
  return documents;
}

std::string numbered(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    lines += io::Json({{"text", "document " + std::to_string(i) + "."}}).dump() + "\n";
  }
  return lines;
}

TEST(HeldOut, NamedTextsAreLeftOutOfTheirFolder) {
  const TestFolder folder;
  for (const char* name : {"a", "b", "c", "d"}) {
    folder.write("books/" + std::string(name) + ".txt", "the book " + std::string(name));
  }
  DataOptions options = options_for(folder, {"books"});
  options.val_text = {(folder / "books/../books/b.txt").string(), (folder / "books/d*").string()};
  const PreparedData data = prepare(options);
  EXPECT_EQ(documents_in(data, data.split.train),
            (std::multiset<std::string>{"the book a", "the book c"}));
  EXPECT_EQ(documents_in(data, data.split.validation),
            (std::multiset<std::string>{"the book b", "the book d"}));
}

TEST(HeldOut, OtherNamesOfTheSameTextAreLeftOutToo) {
  const TestFolder folder;
  folder.write("books/a.txt", "the book a");
  folder.write("books/copy.txt", "the book held out");
  folder.write("books/z.txt.gz", io::gzip("the book held out"));
  const auto held = folder.write("held.txt", "the book held out");
  std::filesystem::create_hard_link(held, folder / "books/link.txt");
  DataOptions options = options_for(folder, {"books"});
  options.val_text = {held.string()};
  const PreparedData data = prepare(options);
  EXPECT_EQ(documents_in(data, data.split.train), (std::multiset<std::string>{"the book a"}));
  EXPECT_NE(data.note.find("2 documents"), std::string::npos) << data.note;
}

TEST(HeldOut, AFileNamedTwiceIsReadOnce) {
  const TestFolder folder;
  const auto file = folder.write("books/a.txt", "the book a");
  std::filesystem::create_hard_link(file, folder / "books/b.txt");
  folder.write("books/empty.txt", "");
  DataOptions options = options_for(folder, {"books", "books/a.txt"});
  options.val_fraction = 0;
  const PreparedData data = prepare(options);
  EXPECT_EQ(data.shards->document_count(), 1);
  EXPECT_NE(data.note.find("named twice"), std::string::npos) << data.note;
  EXPECT_NE(data.note.find("an empty file was passed over"), std::string::npos) << data.note;
  options.weights = {1, 1};
  EXPECT_EQ(prepare(options).shards->document_count(), 2);
}

TEST(HeldOut, BpeLearnsNothingFromTheEndThatIsHeldOut) {
  const TestFolder folder;
  std::string head, tail;
  for (int i = 0; i < 90; ++i) head += "aaaaaaaab ";
  for (int i = 0; i < 9; ++i) tail += "qqqqqqqqz ";
  folder.write("all.txt", head + tail);
  DataOptions options = options_for(folder, {"all.txt"});
  options.tokenizer = "bpe";
  EXPECT_FALSE(prepare(options).tokenizer->id_of("qq"));
  options.val_fraction = 0;
  EXPECT_TRUE(prepare(options).tokenizer->id_of("qq"));
}

TEST(HeldOut, AFolderOfShardsIsUsedAsItIs) {
  const TestFolder folder;
  folder.write("a.jsonl", numbered(20));
  DataOptions options = options_for(folder, {"a.jsonl"});
  write_shards(options, folder / "shards");
  DataOptions made;
  made.text = {(folder / "shards").string()};
  made.cache = (folder / "cache").string();
  const PreparedData data = prepare(made);
  EXPECT_EQ(data.tokenizer->kind(), "byte");
  EXPECT_EQ(data.shards->document_count(), 20);
  EXPECT_FALSE(data.split.validation.empty());
  EXPECT_FALSE(std::filesystem::exists(folder / "cache"));
  made.val_documents = 0.1;
  EXPECT_NE(error_of([&] { (void)prepare(made); }).find("val_documents"), std::string::npos);
}

TEST(HeldOut, AShareOfWholeDocumentsIsChosenByContent) {
  const TestFolder folder;
  constexpr int kCount = 2000;
  folder.write("a.jsonl", numbered(kCount) + numbered(100));  // 100 copies
  DataOptions options = options_for(folder, {"a.jsonl"});
  options.val_documents = 0.1;
  const PreparedData data = prepare(options);
  const auto train = documents_in(data, data.split.train);
  const auto held_out = documents_in(data, data.split.validation);
  EXPECT_EQ(train.size() + held_out.size(), kCount + 100u);
  for (const std::string& document : held_out) EXPECT_EQ(train.count(document), 0u);
  const auto distinct = static_cast<double>(std::set(held_out.begin(), held_out.end()).size());
  EXPECT_NEAR(distinct, 0.1 * kCount, 4 * std::sqrt(kCount * 0.1 * 0.9));  // binomial
  EXPECT_TRUE(prepare(options).reused);
}

TEST(HeldOut, NeverAppearsInTrainingRows) {
  const TestFolder folder;
  folder.write("a.jsonl", numbered(300));
  folder.write("b.jsonl", numbered(50) + "{\"text\": \"another\"}\n");
  DataOptions options = options_for(folder, {"a.jsonl", "b.jsonl"});
  options.val_documents = 0.2;
  options.weights = {1, 1};
  const PreparedData data = prepare(options);
  const auto held_out = documents_in(data, data.split.validation);
  ASSERT_GT(held_out.size(), 20u);
  for (const PackMode mode : {PackMode::kPacked, PackMode::kDocs}) {
    TokenLoader loader(*data.shards, data.split.train, {16, 40, 1, mode});
    for (int i = 0; i < 60; ++i) {
      const Batch batch = loader.next();
      const auto tokens = batch.at("tokens").as<int32_t>();
      for (size_t row = 0; row < 16; ++row) {
        const std::string text = data.tokenizer->decode(tokens.subspan(row * 40, 40));
        for (const std::string& document : held_out) {
          EXPECT_EQ(text.find(document), std::string::npos) << document;
        }
      }
    }
  }
}

TEST(HeldOut, OptionsThatContradictEachOtherAreRefused) {
  const TestFolder folder;
  folder.write("a.jsonl", numbered(20));
  folder.write("b.jsonl", numbered(1));
  const auto refused = [&](auto change, const char* key) {
    DataOptions options = options_for(folder, {"a.jsonl", "b.jsonl"});
    change(options);
    const std::string said = error_of([&] { (void)prepare(options); });
    EXPECT_NE(said.find(key), std::string::npos) << key << ": " << said;
  };
  refused([](DataOptions& o) { o.weights = {1}; }, "data.weights");
  refused([](DataOptions& o) { o.weights = {1, 0}; }, "data.weights");
  refused([](DataOptions& o) { o.weights = {1, -1}; }, "data.weights");
  refused([](DataOptions& o) { o.weights = {1, NAN}; }, "data.weights");
  refused([](DataOptions& o) { o.weights = {1, INFINITY}; }, "data.weights");
  refused([](DataOptions& o) { o.val_documents = 1; }, "data.val_documents");
  refused([](DataOptions& o) { o.val_documents = -0.1; }, "data.val_documents");
  refused([](DataOptions& o) { o.val_fraction = 1; }, "data.val_fraction");
  refused(
      [](DataOptions& o) {
        o.val_documents = 0.1;
        o.val_text = {o.text[1]};
      },
      "two ways");
  refused([](DataOptions& o) { o.val_text = {o.text[1]}; }, "holds out all");
  refused([](DataOptions& o) { o.val_documents = 1e-12; }, "no document is held out");
  refused([](DataOptions& o) { o.val_documents = 0.999999; }, "none is left");
  refused([](DataOptions& o) { o.text.clear(); }, "data.text");
}

}  // namespace
}  // namespace adder::data
