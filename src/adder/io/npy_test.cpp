#include "adder/io/npy.h"

#include <cstring>

#include "adder/io/file.h"
#include "adder/io/testing.h"

namespace adder::io {
namespace {

using testing::error_of;
using testing::kind_of;
using testing::TemporaryFolder;

// A file as numpy.lib.format describes it: magic, version, header length, header, data.
std::string npy(std::string header, const std::string& data, int version = 1) {
  const std::size_t size = header.size();
  std::string out = "\x93NUMPY";
  out += {static_cast<char>(version), '\0', static_cast<char>(size & 255),
          static_cast<char>(size >> 8)};
  if (version == 2) out += {'\0', '\0'};
  return out + header + data;
}

std::string header(const std::string& descr, const std::string& shape,
                   const std::string& order = "False") {
  return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

NpyArray parse(const std::string& file) {
  return parse_npy(as_bytes(file), "a.npy");
}
ErrorKind refusal(const std::string& file) {
  return kind_of([&] { parse(file); });
}

// What numpy.save writes for np.arange(6, dtype='<i4').reshape(2, 3), spelt out.
TEST(Npy, TheBytesOfNumPy) {
  const std::string text = "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }";
  std::string expected = std::string("\x93NUMPY\x01\x00\x76\x00", 10) + text;
  expected += std::string(127 - expected.size(), ' ') + "\n";
  for (char i = 0; i < 6; ++i) expected += {i, 0, 0, 0};
  const auto array = parse(expected);
  EXPECT_EQ(array.dtype, DType::i32);
  EXPECT_EQ(array.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(array.elements(), 6);
  const TemporaryFolder folder;
  write_npy(folder.path() / "a.npy", array);
  EXPECT_EQ(read_file(folder.path() / "a.npy", 1000), expected);
  EXPECT_EQ(parse_npy_header(as_bytes(expected), "a").offset, 128);
}

void expect_round_trip(DType dtype, const std::vector<int64_t>& shape) {
  const TemporaryFolder folder;
  NpyArray array{dtype, shape, {}};
  array.bytes.resize(static_cast<std::size_t>(array.elements() * size_of(dtype)));
  for (std::size_t i = 0; i < array.bytes.size(); ++i) array.bytes[i] = std::byte(i * 37 & 1);
  write_npy(folder.path() / "a.npy", array);
  const auto back = read_npy(folder.path() / "a.npy");
  EXPECT_EQ(back.dtype, dtype);
  EXPECT_EQ(back.shape, shape);
  EXPECT_EQ(back.bytes, array.bytes);
}

TEST(Npy, EveryTypeAndRankComesBack) {
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::i64, DType::i32, DType::i16,
                            DType::i8, DType::u8, DType::u16, DType::boolean}) {
    expect_round_trip(dtype, {2, 3});
  }
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{}, {0}, {5}, {3, 0, 2}, {1, 2, 3, 4}}) {
    expect_round_trip(DType::f32, shape);
  }
}

TEST(Npy, OtherSpellingsAndVersionTwo) {
  EXPECT_EQ(parse(npy(header("\"<u2\"", "(2,)"), "abcd")).dtype, DType::u16);
  EXPECT_EQ(parse(npy("{'shape':(1,2),'fortran_order':False,'descr':'|u1'}", "ab", 2)).shape.size(),
            2u);
  EXPECT_EQ(parse(npy(header("'<f8'", "()"), "12345678")).shape.size(), 0u);
}

TEST(Npy, UnsupportedKinds) {
  for (const std::string& file :
       {npy(header("'|O'", "(1,)"), "12345678"), npy(header("'<f4'", "(1,)", "True"), "1234"),
        npy(header("'>f4'", "(1,)"), "1234"), npy(header("[('a', '<f4')]", "(1,)"), "1234"),
        npy(header("'<c8'", "(1,)"), "12345678"), npy(header("'<U1'", "(1,)"), "1234")}) {
    EXPECT_EQ(refusal(file), ErrorKind::kUnsupported);
  }
  const auto pickle = error_of([] { parse(npy(header("'|O'", "(1,)"), "12345678")); });
  EXPECT_NE(pickle->text().what.find("Python objects"), std::string::npos);
  for (const char* type : {"'<u4'", "'<u8'"}) {  // token ids of some other tools
    const auto wide = error_of([&] { parse(npy(header(type, "(1,)"), "12345678")); });
    EXPECT_EQ(wide->kind(), ErrorKind::kUnsupported);
    EXPECT_NE(wide->text().next.find("int32"), std::string::npos);
  }
  EXPECT_EQ(kind_of([] { write_npy("/nowhere", DType::bf16, {}, as_bytes("ab")); }),
            ErrorKind::kUnsupported);
  EXPECT_EQ(kind_of([] { write_npy("/nowhere", DType::f32, {}, as_bytes("ab")); }),
            ErrorKind::kShape);
}

TEST(Npy, MalformedFiles) {
  const std::string good = header("'<f4'", "(2,)");
  for (const std::string& file :
       {std::string(),
        std::string("\x93NUMPY"),
        npy(good, "1234567"),
        npy(good, "123456789"),
        npy(good, "12345678", 3),
        npy(good + "x", "12345678"),
        npy("", ""),
        npy("{}", ""),
        npy(header("'<f4'", "(2)"), "12345678"),
        npy(header("'<f4'", "(-2,)"), "12345678"),
        npy(header("'<f4'", "(2.0,)"), "12345678"),
        npy(header("'<f4'", "(2 2)"), "1234567812345678"),
        npy(header("'<f4'", "2"), "12345678"),
        npy(header("'<f4'", "(4294967296, 4294967296)"), ""),
        npy(header("'<f4'", "(0, 4294967296, 4294967296)"), ""),
        npy(header("'<f8'", "(2305843009213693952,)"), ""),
        npy(header("'<f4'", "(99999999999999999999,)"), ""),
        npy(header("'<f4'", "(2,)", "false"), "12345678"),
        npy("{'descr': '<f4', 'shape': (2,), }", "12345678"),
        npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
            "12345678"),
        npy("{'x': 1, 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "12345678"),
        std::string("\x93NUMPY\x01\x00\xff\xff{", 11)}) {
    EXPECT_EQ(refusal(file), ErrorKind::kFormat) << file;
  }
  const std::string whole = npy(good, "12345678");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(refusal(whole.substr(0, size)), ErrorKind::kFormat) << size;
  }
  EXPECT_EQ(parse(whole).elements(), 2);
}

}  // namespace
}  // namespace adder::io
