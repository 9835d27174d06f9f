#include "adder/io/safetensors.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "adder/io/file.h"
#include "adder/io/testing.h"

namespace adder::io {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::kind_of;
using testing::TemporaryFolder;

std::string length_of(uint64_t length) {
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out;
}

// A file with this header and so many bytes of data: 0, 1, 2, ...
std::string file_of(const std::string& header, std::size_t data = 0) {
  std::string out = length_of(header.size()) + header;
  for (std::size_t i = 0; i < data; ++i) out += static_cast<char>(i);
  return out;
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

class SafetensorsTest : public ::testing::Test {
 protected:
  SafetensorsFile open(const std::string& content) {
    return SafetensorsFile::open(folder_.file("a.safetensors", content));
  }
  // The reason given for refusing the file; fails the test when it is not kFormat.
  std::string refusal(const std::string& content) {
    const auto error = error_of([&] { open(content); });
    EXPECT_TRUE(error) << "accepted: " << content.substr(0, 200);
    if (!error) return "";
    EXPECT_EQ(error->kind(), ErrorKind::kFormat) << error->what();
    EXPECT_NE(error->text().where.find("a.safetensors"), std::string::npos) << error->what();
    return error->text().why;
  }
  std::string refused_header(const std::string& header, std::size_t data = 0) {
    return refusal(file_of(header, data));
  }
  // One tensor "x" of F32 [1] with one part replaced.
  std::string refused_tensor(const std::string& dtype, const std::string& shape,
                             const std::string& offsets, std::size_t data = 4) {
    return refused_header("{" + tensor("x", dtype, shape, offsets) + "}", data);
  }

  TemporaryFolder folder_;
};

TEST_F(SafetensorsTest, ReadsAFileSpeltOut) {
  const auto file = open(file_of(R"({"__metadata__":{"format":"pt","k\u00e9":"\ud83d\ude00\n"},)" +
                                     tensor("b", "F32", "[1, 2]", "[0,8]") + " , " +
                                     tensor("s", "I64", "[]", "[8,16]") + "," +
                                     tensor("e", "BF16", "[3,0]", "[16,16]") + "}   ",
                                 16));
  ASSERT_EQ(file.tensors().size(), 3u);
  const auto& b = file.tensor("b");
  EXPECT_EQ(b.dtype, DType::f32);
  EXPECT_EQ(b.shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(b.elements(), 2);
  ASSERT_EQ(b.bytes.size(), 8u);
  EXPECT_EQ(b.bytes[7], std::byte{7});
  EXPECT_EQ(file.tensor("s").elements(), 1);
  EXPECT_EQ(file.tensor("s").bytes[0], std::byte{8});
  EXPECT_EQ(file.tensor("e").elements(), 0);
  EXPECT_TRUE(file.tensor("e").bytes.empty());
  EXPECT_EQ(file.metadata(), (Metadata{{"format", "pt"}, {"k\xc3\xa9", "\xf0\x9f\x98\x80\n"}}));
  EXPECT_EQ(file.find("c"), nullptr);
  const auto error = error_of([&] { file.tensor("bb"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), ErrorKind::kNotFound);
  EXPECT_EQ(error->text().next, "the nearest name is \"b\"");
}

// List A, 1 and 2.
TEST_F(SafetensorsTest, LengthOfTheHeader) {
  for (std::size_t size = 0; size < 8; ++size) refusal(std::string(size, '\0'));
  for (const uint64_t length :
       {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{1} << 31, uint64_t{1} << 63, UINT64_MAX,
        uint64_t{100'000'001}, uint64_t{100'000'000}}) {
    refusal(length_of(length));
  }
  refusal(length_of(3) + "{}");
  refusal(length_of(1) + "{}");
  EXPECT_EQ(open(file_of("{}")).tensors().size(), 0u);
  EXPECT_EQ(refused_header("{}", 1), "the tensors end at byte 0 of the data, the file at 1");
  // A sparse file whose header is over the limit, and one that is at it.
  const auto path = folder_.file("big", length_of(100'000'001) + "{");
  fs::resize_file(path, 100'000'100);
  EXPECT_EQ(kind_of([&] { SafetensorsFile::open(path); }), ErrorKind::kFormat);
}

// 3 and 4.
TEST_F(SafetensorsTest, TextOfTheHeader) {
  for (const std::string& header :
       {std::string("ab"), std::string("[]"), std::string("12"), std::string("\"\""),
        std::string(" {}"), std::string("\n{}"), std::string("\xef\xbb\xbf{}"),
        std::string("{}\0", 3), std::string("{} x"), std::string("{}{}"), std::string("{}\n"),
        std::string("{,}"), std::string("{\"a\"}"), std::string("{\"a\":"), std::string("{\"a"),
        std::string("{\"a\\"), std::string("{\"a\\u12"), std::string("{'a':1}"),
        std::string("{a:1}")}) {
    refused_header(header);
  }
  EXPECT_NO_THROW(open(file_of("{}" + std::string(1000, ' '))));
  EXPECT_NO_THROW(open(file_of("{ \t\r\n}")));
  const auto named = [&](const std::string& name) {
    return "{" + tensor(name, "U8", "[1]", "[0,1]") + "}";
  };
  EXPECT_EQ(open(file_of(named("ok \\\" \\/ \\u0041"), 1)).tensors()[0].name, "ok \" / A");
  for (const std::string& name :
       {std::string("\xff"), std::string("\xc0\x80"), std::string("\xed\xa0\x80"),
        std::string("\\ud800"), std::string("\\udc00"), std::string("\\ud800\\u0041"),
        std::string("a\0b", 3), std::string("a\\u0000b"), std::string("a\nb"), std::string("\\x41"),
        std::string("\\u00g0"), std::string(""), std::string(1 << 20, 'a')}) {
    refused_header(named(name), 1);
  }
}

TEST_F(SafetensorsTest, AMillionKeys) {
  std::string header = "{";
  for (int i = 0; i < 1'000'000; ++i) {
    header += (i > 0 ? "," : "") + tensor(std::to_string(i), "U8", "[0]", "[0,0]");
  }
  EXPECT_EQ(refused_header(header + "}"), "more than 500000 tensors");
}

// 5 and 6.
TEST_F(SafetensorsTest, RepeatedKeysAndMetadata) {
  const std::string empty = tensor("x", "U8", "[0]", "[0,0]");
  EXPECT_NE(refused_header("{" + empty + "," + empty + "}").find("twice"), std::string::npos);
  EXPECT_NE(refused_header("{" + empty + "," + tensor("\\u0078", "U8", "[0]", "[0,0]") + "}")
                .find("twice"),
            std::string::npos);
  EXPECT_NE(refused_header(R"({"__metadata__":{},"__metadata__":{}})").find("twice"),
            std::string::npos);
  EXPECT_NE(refused_header(R"({"__metadata__":{"a":"1","a":"2"}})").find("twice"),
            std::string::npos);
  for (const char* member :
       {R"("dtype":"U8")", R"("shape":[0])", R"("data_offsets":[0,0])", R"("more":1)"}) {
    refused_header(std::string(R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0],)") + member +
                   "}}");
  }
  for (const char* value : {"1", "null", "true", "[]", "\"x\"", R"({"a":1})", R"({"a":null})",
                            R"({"a":{"b":"c"}})", R"({"a":["b"]})", R"({"a"})", R"({"a":"b",})"}) {
    refused_header(std::string("{\"__metadata__\":") + value + "}");
  }
  refused_header("{\"__metadata__\":{\"a\":\"" + std::string(50 << 20, 'x') + "\"}}");
  EXPECT_EQ(open(file_of("{\"__metadata__\":{\"a\":\"" + std::string(1 << 20, 'x') + "\"}}"))
                .metadata()
                .at("a")
                .size(),
            std::size_t{1} << 20);
}

// 7.
TEST_F(SafetensorsTest, Types) {
  for (const char* dtype : {"f32", "F33", "", "F32 ", "FLOAT", "F3\\u0032x"})
    refused_tensor(dtype, "[1]", "[0,4]");
  for (const char* dtype : {"F4", "F6_E2M3", "F8_E4M3", "U32", "U64", "C64"}) {
    EXPECT_EQ(kind_of([&] { open(file_of("{" + tensor("x", dtype, "[3]", "[0,2]") + "}", 2)); }),
              ErrorKind::kUnsupported);
  }
  for (const auto& [dtype, size] : std::vector<std::pair<std::string, int>>{{"F64", 8},
                                                                            {"F32", 4},
                                                                            {"F16", 2},
                                                                            {"BF16", 2},
                                                                            {"I64", 8},
                                                                            {"I32", 4},
                                                                            {"I16", 2},
                                                                            {"I8", 1},
                                                                            {"U8", 1},
                                                                            {"U16", 2},
                                                                            {"BOOL", 1}}) {
    const auto bytes = static_cast<std::size_t>(3 * size);
    const std::string end = "[0," + std::to_string(bytes) + "]";
    EXPECT_EQ(
        open(file_of("{" + tensor("x", dtype, "[3]", end) + "}", bytes)).tensor("x").bytes.size(),
        bytes);
    refused_tensor(dtype, "[4]", end, bytes);
  }
}

// 8 and 11.
TEST_F(SafetensorsTest, ShapesAndNumbers) {
  for (const char* shape : {"[-1]",
                            "[1.0]",
                            "[1e0]",
                            "[\"1\"]",
                            "[null]",
                            "[[1]]",
                            "1",
                            "{}",
                            "null",
                            "[1,]",
                            "[,1]",
                            "[1 1]",
                            "[01]",
                            "[+1]",
                            "[-0]",
                            "[0x1]",
                            "[1e3]",
                            "[18446744073709551616]",
                            "[18446744073709551617]",
                            "[9223372036854775808]",
                            "[99999999999999999999999]",
                            "[1,1,1,1,1,1,1,1,1]",
                            "[4294967296,4294967296]",
                            "[4611686018427387905]",
                            "[0,4294967296,4294967296]"}) {
    refused_tensor("F32", shape, "[0,4]");
  }
  refused_tensor("U8", "[0,4294967296,4294967296]", "[0,0]", 0);
  for (const char* offsets :
       {"[-0,4]", "[0,4.0]", "[0,4e0]", "[0.0,4]", "[0,\"4\"]", "[0]", "[]", "[0,4,4]", "4",
        "[0,04]", "[0,18446744073709551620]", "[-4,0]", "[0,-4]"}) {
    refused_tensor("F32", "[1]", offsets);
  }
  EXPECT_NO_THROW(
      open(file_of("{" + tensor("x", "F32", "[ 1 ,1,1,1,1,1,1,1 ]", "[ 0 , 4 ]") + "}", 4)));
}

// 9.
TEST_F(SafetensorsTest, Offsets) {
  const auto two = [&](const std::string& a, const std::string& b) {
    return "{" + tensor("a", "U8", "[4]", a) + "," + tensor("b", "U8", "[4]", b) + "}";
  };
  EXPECT_EQ(open(file_of(two("[0,4]", "[4,8]"), 8)).tensors()[0].name, "a");
  EXPECT_EQ(open(file_of(two("[4,8]", "[0,4]"), 8)).tensors()[0].name, "b");
  refused_header(two("[4,0]", "[4,8]"), 8);
  EXPECT_NE(refused_header(two("[0,4]", "[0,4]"), 4).find("overlap"), std::string::npos);
  EXPECT_NE(refused_header(two("[0,4]", "[3,7]"), 7).find("overlap"), std::string::npos);
  EXPECT_NE(refused_header(two("[0,4]", "[5,9]"), 9).find("hole"), std::string::npos);
  EXPECT_NE(refused_header(two("[1,5]", "[5,9]"), 9).find("hole"), std::string::npos);
  refused_header(two("[0,4]", "[4,8]"), 9);
  refused_header(two("[0,4]", "[4,8]"), 7);
  refused_header(two("[0,4]", "[4,9]"), 9);
  refused_header(two("[0,4]", "[9223372036854775804,9223372036854775807]"), 8);
  // An empty tensor may stand anywhere between others, but not inside one.
  const auto with_empty = [&](const std::string& at) {
    return "{" + tensor("a", "U8", "[4]", "[0,4]") + "," +
           tensor("e", "U8", "[0]", "[" + at + "," + at + "]") + "}";
  };
  EXPECT_NO_THROW(open(file_of(with_empty("0"), 4)));
  EXPECT_NO_THROW(open(file_of(with_empty("4"), 4)));
  refused_header(with_empty("2"), 4);
  refused_header(with_empty("5"), 4);
}

// 10.
TEST_F(SafetensorsTest, DepthBomb) {
  for (const std::string& open : {std::string("["), std::string("{\"a\":")}) {
    std::string bomb;
    for (int i = 0; i < 100000; ++i) bomb += open;
    refused_header("{\"x\":" + bomb);
    refused_header("{\"__metadata__\":" + bomb);
    refused_header("{\"x\":{\"shape\":" + bomb);
    if (open[0] == '{') refused_header(bomb);
  }
}

TEST_F(SafetensorsTest, MisalignedTensorsAreCopiedToAlignedMemory) {
  for (std::size_t padding = 0; padding < 8; ++padding) {
    const std::string header = "{" + tensor("f", "F64", "[2]", "[3,19]") + "," +
                               tensor("u", "U8", "[3]", "[0,3]") + "}" + std::string(padding, ' ');
    const auto file = open(file_of(header, 19));
    const std::byte* there = file.tensors()[0].bytes.data();
    EXPECT_EQ(file.tensors()[1].bytes.data(), there + 3);  // not copied yet
    const auto& f = file.tensor("f");
    EXPECT_EQ(file.tensor("f").bytes.data(), f.bytes.data());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(f.bytes.data()) % 8, 0u);
    EXPECT_EQ(f.bytes[15], std::byte{18});
    std::vector<std::byte> copy(16);
    file.read("f", copy);
    EXPECT_EQ(std::memcmp(copy.data(), f.bytes.data(), 16), 0);
  }
}

// 13.
TEST_F(SafetensorsTest, AFileThatShrinksIsNoticed) {
  const auto path =
      folder_.file("a", file_of("{" + tensor("x", "U8", "[100000]", "[0,100000]") + "}", 100000));
  const auto file = SafetensorsFile::open(path);
  std::vector<std::byte> room(100000);
  file.read("x", room);
  EXPECT_EQ(room[99999], std::byte(99999 & 255));
  EXPECT_EQ(kind_of([&] { file.read("x", std::span(room).first(5)); }), ErrorKind::kShape);
  fs::resize_file(path, 1000);
  EXPECT_EQ(kind_of([&] { file.tensor("x"); }), ErrorKind::kIo);
  EXPECT_EQ(kind_of([&] { file.read("x", room); }), ErrorKind::kIo);
}

// 14.
TEST_F(SafetensorsTest, NotAFile) {
  const auto fifo = folder_.path() / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(kind_of([&] { SafetensorsFile::open(fifo); }), ErrorKind::kIo);
  EXPECT_EQ(kind_of([&] { SafetensorsFile::open(folder_.path()); }), ErrorKind::kIo);
  EXPECT_EQ(kind_of([&] { SafetensorsFile::open("/dev/null"); }), ErrorKind::kIo);
  EXPECT_EQ(kind_of([&] { SafetensorsFile::open(folder_.path() / "none"); }), ErrorKind::kNotFound);
}

// 16. A flip may give another good file (in a name, or a dtype of the same size); then it must be
// consistent.
TEST_F(SafetensorsTest, EveryTruncationAndEveryBitFlip) {
  const std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," +
                             tensor("a", "F32", "[2,1]", "[0,8]") + "," +
                             tensor("b", "I16", "[3]", "[8,14]") + "} ";
  const std::string whole = file_of(header, 14);
  for (std::size_t size = 0; size < whole.size(); ++size) refusal(whole.substr(0, size));
  refusal(whole + "x");
  int accepted = 0;
  for (std::size_t bit = 0; bit < (8 + header.size()) * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    const auto path = folder_.file("flipped", flipped);
    const auto error = error_of([&] {
      const auto file = SafetensorsFile::open(path);
      std::size_t total = 0;
      for (const auto& t : file.tensors()) {
        EXPECT_EQ(static_cast<std::size_t>(t.elements() * size_of(t.dtype)), t.bytes.size());
        total += t.bytes.size();
      }
      EXPECT_EQ(total, 14u);
      ++accepted;
    });
    if (error) {
      EXPECT_TRUE(error->kind() == ErrorKind::kFormat || error->kind() == ErrorKind::kUnsupported)
          << error->what();
    }
  }
  EXPECT_LT(accepted,
            110);  // at most the bits of names and metadata: 14 free letters of 7 bits, few more
}

std::vector<TensorInfo> some_tensors(const std::string& data) {
  const auto bytes = as_bytes(data);
  return {{"z", DType::u8, {3}, bytes.subspan(0, 3)},
          {"m", DType::f32, {2, 2}, bytes.subspan(0, 16)},
          {"b", DType::i64, {}, bytes.subspan(8, 8)},
          {"a", DType::f32, {1}, bytes.subspan(4, 4)},
          {"e", DType::bf16, {0, 7}, {}},
          {"quote\"\\\n\xc3\xa9", DType::f16, {1}, bytes.subspan(2, 2)}};
}

TEST_F(SafetensorsTest, WriterByTheByte) {
  const auto path = folder_.path() / "w";
  write_safetensors(
      path, {{"b", DType::u8, {2}, as_bytes("xy")}, {"a", DType::f32, {}, as_bytes("1234")}},
      {{"k", "v"}});
  std::string header =
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  EXPECT_EQ(read_file(path, 1000), length_of(header.size()) + header + "1234xy");
}

TEST_F(SafetensorsTest, WriterRoundTripIsAlignedAndRepeatable) {
  const std::string data = "0123456789abcdefghij";
  const auto path = folder_.path() / "w";
  auto tensors = some_tensors(data);
  write_safetensors(path, tensors, {{"format", "pt"}, {"\xc3\xa9", "\"\n"}});
  const std::string first = read_file(path, 10000);
  const auto file = SafetensorsFile::open(path);
  EXPECT_EQ(file.tensors().size(), tensors.size());
  EXPECT_EQ(file.metadata().at("\xc3\xa9"), "\"\n");
  for (const auto& t : tensors) {
    const auto& back = file.tensor(t.name);
    EXPECT_EQ(back.dtype, t.dtype);
    EXPECT_EQ(back.shape, t.shape);
    EXPECT_TRUE(std::ranges::equal(back.bytes, t.bytes));
    if (back.bytes.empty()) continue;
    // Inside the map, where an aligned header puts it: nothing had to be copied.
    EXPECT_EQ(
        reinterpret_cast<uintptr_t>(back.bytes.data()) % static_cast<uintptr_t>(size_of(t.dtype)),
        0u);
  }
  std::ranges::reverse(tensors);
  write_safetensors(path, tensors, {{"\xc3\xa9", "\"\n"}, {"format", "pt"}});
  EXPECT_EQ(read_file(path, 10000), first);
  EXPECT_EQ(folder_.entries(), 1);
}

// 15.
TEST_F(SafetensorsTest, SavingOntoTheMappedFile) {
  const auto path = folder_.path() / "w";
  const std::string data(20, 'q');
  write_safetensors(path, some_tensors(data));
  const auto file = SafetensorsFile::open(path);
  write_safetensors(path, file.tensors());
  EXPECT_EQ(file.tensor("m").bytes[15], std::byte{'q'});
  EXPECT_EQ(SafetensorsFile::open(path).tensor("m").bytes[15], std::byte{'q'});
}

TEST_F(SafetensorsTest, WriterRefusesAndLeavesTheOldFile) {
  const auto path = folder_.file("w", "old");
  const auto write = [&](std::vector<TensorInfo> tensors, const Metadata& metadata = {}) {
    return kind_of([&] { write_safetensors(path, std::move(tensors), metadata); });
  };
  const auto bytes = as_bytes("12345678");
  EXPECT_EQ(write({{"x", DType::f32, {3}, bytes}}), ErrorKind::kShape);
  EXPECT_EQ(write({{"x", DType::f32, {-2}, bytes}}), ErrorKind::kShape);
  EXPECT_EQ(write({{"x", DType::f32, {int64_t{1} << 62, 2}, bytes}}), ErrorKind::kShape);
  EXPECT_EQ(write({{"x", DType::f32, {1, 1, 1, 1, 1, 1, 1, 1, 2}, bytes}}), ErrorKind::kShape);
  for (const std::string& name :
       {std::string(), std::string("__metadata__"), std::string("a\0b", 3), std::string("\xff"),
        std::string(5000, 'x')}) {
    EXPECT_EQ(write({{name, DType::f32, {2}, bytes}}), ErrorKind::kFormat);
  }
  EXPECT_EQ(write({{"x", DType::f32, {2}, bytes}, {"x", DType::f32, {2}, bytes}}),
            ErrorKind::kFormat);
  EXPECT_EQ(write({}, {{"k", "\xff"}}), ErrorKind::kFormat);
  EXPECT_EQ(read_file(path, 10), "old");
  EXPECT_EQ(folder_.entries(), 1);
}

}  // namespace
}  // namespace adder::io
