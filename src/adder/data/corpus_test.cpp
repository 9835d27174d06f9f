#include "adder/data/corpus.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"
#include "adder/data/test_folder.h"

namespace adder::data {
namespace {

TEST(Corpus, KeepsTheBytesOfAFile) {
  const TestFolder folder;
  const std::string text = "one\r\ntwo\n\n\xEF\xBB\xBFthree \xF0\x9F\x98\x80";
  const auto corpus = Corpus::open({folder.write("a.txt", text)});
  ASSERT_EQ(corpus.documents().size(), 1u);
  EXPECT_EQ(corpus.documents()[0], text);
  EXPECT_EQ(corpus.bytes(), static_cast<int64_t>(text.size()));
}

TEST(Corpus, LargeAndSmallFilesReadAlike) {
  const TestFolder folder;
  const std::string large(3 << 20, 'x');
  auto opened = Corpus::open({folder.write("a.txt", "small"), folder.write("b.txt", large)});
  const Corpus corpus = std::move(opened);
  EXPECT_EQ(corpus.documents(), (std::vector<std::string_view>{"small", large}));
}

TEST(Corpus, CutsAtTheSeparatorAndDropsEmptyDocuments) {
  std::vector<std::string_view> documents;
  cut_documents("##a##bc####d#", "##", documents);
  EXPECT_EQ(documents, (std::vector<std::string_view>{"a", "bc", "d#"}));
  documents.clear();
  cut_documents("####", "##", documents);
  EXPECT_TRUE(documents.empty());
}

TEST(Corpus, TakesFoldersInBytewiseOrder) {
  const TestFolder folder;
  folder.write("text/b.txt", "2");
  folder.write("text/B.txt", "1");
  folder.write("text/c/a.txt", "3");
  folder.write("text/readme.md", "no");
  const auto corpus = Corpus::open({folder / "text"});
  EXPECT_EQ(corpus.documents(), (std::vector<std::string_view>{"1", "2", "3"}));
  EXPECT_THROW(Corpus::open({folder.write("empty_folder/x.md", "x").parent_path()}), Error);
}

TEST(Corpus, SaysWhatIsWrongWithAFile) {
  const TestFolder folder;
  const auto open = [&](const std::filesystem::path& path) {
    return error_of([&] { (void)Corpus::open({path}); });
  };
  const std::string empty = open(folder.write("empty.txt", ""));
  EXPECT_NE(empty.find("empty.txt"), std::string::npos) << empty;
  EXPECT_NE(empty.find("is empty"), std::string::npos) << empty;
  const std::string binary = open(folder.write("binary.txt", std::string_view("ELF\0\1", 5)));
  EXPECT_NE(binary.find("byte 3"), std::string::npos) << binary;
  const std::string broken = open(folder.write("latin1.txt", "one\ntwo caf\xE9 three"));
  EXPECT_NE(broken.find("line 2"), std::string::npos) << broken;
  EXPECT_NE(broken.find("byte 11"), std::string::npos) << broken;
  EXPECT_NE(open(folder / "missing.txt").find("missing.txt"), std::string::npos);
  EXPECT_NE(error_of([&] { (void)Corpus::open({folder.write("s.txt", "----")}, "--"); }), "");
}

TEST(Corpus, HashSeesTheBorders) {
  const TestFolder folder;
  const auto path = folder.write("a.txt", "ab|c");
  EXPECT_EQ(Corpus::open({path}, "|").hash(), Corpus::open({path}, "|").hash());
  const auto other = folder.write("b.txt", "a|bc");
  EXPECT_NE(Corpus::open({path}, "|").hash(), Corpus::open({other}, "|").hash());
}

}  // namespace
}  // namespace adder::data
