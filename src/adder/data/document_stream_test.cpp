#include "adder/data/document_stream.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"
#include "adder/data/inputs.h"
#include "adder/data/test_folder.h"
#include "adder/io/json.h"
#include "adder/io/test_compress.h"

namespace adder::data {
namespace {

using Texts = std::vector<std::string>;

/// Whole documents; checks that parts are well formed.
Texts documents_of(const std::filesystem::path& input, const DocumentOptions& options = {}) {
  DocumentStream stream({input.string()}, options);
  Texts documents;
  TextPiece piece;
  bool inside = false;
  while (stream.next(piece)) {
    EXPECT_FALSE(piece.text.empty());
    EXPECT_LE(piece.text.size(), kPieceBytes);
    EXPECT_EQ(piece.first, !inside);
    if (piece.first) documents.emplace_back();
    documents.back() += piece.text;
    inside = !piece.last;
  }
  EXPECT_FALSE(inside);
  EXPECT_EQ(stream.bytes_read(), stream.bytes_total());
  return documents;
}

std::string refusal(const std::filesystem::path& input, const DocumentOptions& options = {}) {
  return error_of([&] { (void)documents_of(input, options); });
}

TEST(DocumentStream, PlainTextKeepsItsBytes) {
  const TestFolder folder;
  const std::string text = "one\r\ntwo\n\n\xEF\xBB\xBFthree \xF0\x9F\x98\x80";
  EXPECT_EQ(documents_of(folder.write("a.txt", text)), Texts{text});
  EXPECT_EQ(documents_of(folder.write("b", text)), Texts{text});
  EXPECT_EQ(documents_of(folder.write("bom.txt", "\xEF\xBB\xBF" + text)), Texts{text});
}

TEST(DocumentStream, CutsAtTheSeparatorAndDropsEmptyDocuments) {
  const TestFolder folder;
  EXPECT_EQ(documents_of(folder.write("a.txt", "##a##bc####d#"), {.separator = "##"}),
            (Texts{"a", "bc", "d#"}));
  EXPECT_EQ(documents_of(folder.write("b.txt", "a\n\nb\n"), {.separator = "\n\n"}),
            (Texts{"a", "b\n"}));
  EXPECT_NE(refusal(folder.write("c.txt", "####"), {.separator = "##"}).find("no document"),
            std::string::npos);
}

// Against std::string::find over the whole text: separators at every place around the borders of
// parts and of reading.
TEST(DocumentStream, SeparatorsAtPieceBordersAreSeen) {
  const TestFolder folder;
  for (const int64_t offset : {-3, -2, -1, 0, 1, 2}) {
    for (const int64_t border : {int64_t{1} << 18, int64_t{1} << 20}) {
      std::string text(static_cast<size_t>(border + offset), 'x');
      for (size_t i = 100; i < text.size(); i += 1000) text[i] = '\n';
      Texts expected{text, "second", std::string(1 << 21, 'y')};
      const auto file = folder.write("a.txt", text + "\n\n" + expected[1] + "\n\n" + expected[2]);
      EXPECT_TRUE(documents_of(file, {.separator = "\n\n"}) == expected) << offset << " " << border;
    }
  }
}

TEST(DocumentStream, PiecesDependOnTheTextAlone) {
  const TestFolder folder;
  std::string text;  // three-byte characters and few line ends
  for (int i = 0; text.size() < 5 * kPieceBytes; ++i)
    text += i % 70000 == 0 ? "\n" : "\xE2\x82\xAC";
  const auto borders = [&](const std::string& name, const std::string& bytes) {
    DocumentStream stream({folder.write(name, bytes).string()});
    std::vector<size_t> sizes;
    TextPiece piece;
    while (stream.next(piece)) sizes.push_back(piece.text.size());
    return sizes;
  };
  const auto plain = borders("a.txt", text);
  EXPECT_GT(plain.size(), 5u);
  EXPECT_EQ(plain, borders("a.txt.gz", io::gzip(text)));
  EXPECT_EQ(plain, borders("a.txt.zst", io::zstd(text)));
  EXPECT_EQ(plain, borders("a.jsonl", io::Json({{"text", text}}).dump()));
}

TEST(DocumentStream, ReadsJsonLines) {
  const TestFolder folder;
  const auto file = folder.write("a.jsonl",
                                 "\xEF\xBB\xBF{\"text\": \"one\\n\", \"n\": 1}\r\n"
                                 "\n  \t\r\n"
                                 "{\"id\": {\"a\": [1]}, \"text\": \"t\\u00e9\\ud83d\\ude00\"}\n"
                                 "{\"text\": \"\"}\n"
                                 "{\"text\": \"last\"}");
  EXPECT_EQ(documents_of(file), (Texts{"one\n", "t\xC3\xA9\xF0\x9F\x98\x80", "last"}));
  EXPECT_EQ(documents_of(folder.write("b.jsonl", "{\"body\": \"b\"}\n"), {.field = "body"}),
            Texts{"b"});
}

TEST(DocumentStream, SaysWhatIsWrongWithALine) {
  const TestFolder folder;
  const auto refused = [&](std::string_view line, const char* expected) {
    const std::string good = "{\"text\": \"fine\"}\n\n";
    const std::string said = refusal(folder.write("a.jsonl", good + std::string(line) + "\n"));
    EXPECT_NE(said.find("a.jsonl:3"), std::string::npos) << line << ": " << said;
    EXPECT_NE(said.find(expected), std::string::npos) << line << ": " << said;
  };
  refused("{\"text\": \"open", "JSON");
  refused("{\"text\": \"one\"} {\"text\": \"two\"}", "JSON");
  refused("[\"text\"]", "object");
  refused("\"text\"", "object");
  refused("17", "object");
  refused("null", "object");
  refused("{\"body\": \"x\"}", "text");
  refused("{\"text\": null}", "text");
  refused("{\"text\": 5}", "string");
  refused("{\"text\": [\"a\"]}", "string");
  refused("{\"text\": \"a\", \"text\": \"b\"}", "text");
  refused("{\"text\": \"\\ud800\"}", "surrogate");
  refused("{\"text\": \"\\udc00 a\"}", "surrogate");
  refused("{\"text\": \"caf\xE9\"}", "UTF-8");
  refused("{\"text\": \"a\\u0000b\"}", "NUL");
  refused(std::string_view("{\"text\": \"a\0b\"}", 15), "");
  refused(std::string(100000, '['), "deep");
  refused("{\"text\": " + std::string(100000, '['), "deep");
}

TEST(DocumentStream, AnEndlessLineIsRefusedInBoundedMemory) {
  const TestFolder folder;
  const auto file = folder.write("a.jsonl", "{\"text\": \"fine\"}\n{");
  std::filesystem::resize_file(file, uint64_t{1} << 30);  // a line of a GiB, on no disk
  const std::string said = refusal(file);
  EXPECT_NE(said.find("a.jsonl:2"), std::string::npos) << said;
  EXPECT_NE(said.find("128 MiB"), std::string::npos) << said;
}

TEST(DocumentStream, SaysWhatIsWrongWithAFile) {
  const TestFolder folder;
  const std::string empty = refusal(folder.write("empty.txt", ""));
  EXPECT_NE(empty.find("empty.txt"), std::string::npos) << empty;
  EXPECT_NE(empty.find("is empty"), std::string::npos) << empty;
  const std::string binary = refusal(folder.write("b.txt", std::string_view("ELF\0\1", 5)));
  EXPECT_NE(binary.find("b.txt:1, byte 3"), std::string::npos) << binary;
  const std::string broken = refusal(folder.write("latin1.txt", "one\ntwo caf\xE9 three"));
  EXPECT_NE(broken.find("latin1.txt:2, byte 11"), std::string::npos) << broken;
  const std::string late(3 * kPieceBytes, '\n');
  const std::string cut = refusal(folder.write("late.txt", late + "ab\xE2\x82"));
  EXPECT_NE(cut.find("late.txt:3145729, byte 3145730"), std::string::npos) << cut;
  EXPECT_NE(refusal(folder / "missing.txt").find("missing.txt"), std::string::npos);
  const std::string text(1000, 'a');
  EXPECT_NE(refusal(folder.write("cut.txt.gz", io::gzip(text).substr(0, 20))).find("too early"),
            std::string::npos);
  EXPECT_NE(refusal(folder.write("cut.jsonl.zst", io::zstd(text).substr(0, 12))).find("too early"),
            std::string::npos);
  EXPECT_NE(refusal(folder.write("none.jsonl", "\n\n")).find("no document"), std::string::npos);
}

TEST(DocumentStream, NamesThePlace) {
  const TestFolder folder;
  DocumentStream stream({folder.write("a.jsonl", "\n{\"text\": \"one\"}\n\n{\"text\": \"two\"}")});
  TextPiece piece;
  ASSERT_TRUE(stream.next(piece));
  EXPECT_TRUE(stream.place().ends_with("a.jsonl:2")) << stream.place();
  ASSERT_TRUE(stream.next(piece));
  EXPECT_TRUE(stream.place().ends_with("a.jsonl:4")) << stream.place();
}

TEST(ListInputs, FoldersAreReadInBytewiseOrder) {
  const TestFolder folder;
  for (const char* name : {"t/b.txt", "t/B.jsonl", "t/c/a.txt.gz", "t/c/b.jsonl.zst", "t/readme.md",
                           "t/d.gz", "none/x.md"}) {
    folder.write(name, "x");
  }
  const auto root = folder / "t";
  EXPECT_EQ(list_inputs({root.string()}),
            (std::vector<std::filesystem::path>{root / "B.jsonl", root / "b.txt",
                                                root / "c/a.txt.gz", root / "c/b.jsonl.zst"}));
  EXPECT_NE(error_of([&] { (void)list_inputs({(folder / "none").string()}); }), "");
}

TEST(ListInputs, PatternsMatchAsInAShell) {
  const TestFolder folder;
  for (const char* name : {"b.txt", "a.txt", "c.jsonl", "sub/d.txt", "[x].txt"}) {
    folder.write(name, "x");
  }
  const auto names = [&](const std::string& pattern) {
    std::string joined;
    for (const auto& file : list_inputs({(folder / pattern).string()})) {
      joined += file.filename().string() + " ";
    }
    return joined;
  };
  EXPECT_EQ(names("?.txt"), "a.txt b.txt ");
  EXPECT_EQ(names("[bc].*"), "b.txt c.jsonl ");
  EXPECT_EQ(names("s*"), "d.txt ");         // a folder that matches is searched
  EXPECT_EQ(names("[x].txt"), "[x].txt ");  // a file of that very name
  EXPECT_NE(error_of([&] { (void)names("*.csv"); }).find("*.csv"), std::string::npos);
}

}  // namespace
}  // namespace adder::data
