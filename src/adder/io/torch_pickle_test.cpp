#include "adder/io/torch_pickle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "adder/io/testing.h"
#include "adder/io/torch_opcodes.h"

namespace adder::io {
namespace {

using testing::error_of;

const std::string kBegin = {'\x80', '\x02'};

std::optional<Error> refusal(const std::string& opcodes) {
  return error_of([&] { parse_torch_pickle(kBegin + opcodes, "x.bin"); });
}

void expect_refused(const std::string& opcodes, ErrorKind kind, const std::string& part) {
  const auto error = refusal(opcodes);
  ASSERT_TRUE(error) << part;
  EXPECT_EQ(error->kind(), kind) << error->what();
  EXPECT_NE(error->text().why.find(part), std::string::npos) << error->what();
}

SavedTensor tensor(const std::string& name) {
  return {.name = name,
          .storage = "0",
          .dtype = DType::bf16,
          .storage_elements = int64_t{1} << 40,
          .offset = 12,
          .shape = {3, 4},
          .strides = {4, 1}};
}

TEST(TorchPickle, WhatIsWrittenIsRead) {
  const auto read = parse_torch_pickle(format_torch_pickle({tensor("a"), tensor("b.ü")}), "x.bin");
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[1].name, "b.ü");
  EXPECT_EQ(read[1].storage, "0");
  EXPECT_EQ(read[1].dtype, DType::bf16);
  EXPECT_EQ(read[1].storage_elements, int64_t{1} << 40);
  EXPECT_EQ(read[1].offset, 12);
  EXPECT_EQ(read[1].shape, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(read[1].strides, (std::vector<int64_t>{4, 1}));
  EXPECT_TRUE(parse_torch_pickle(kBegin + "}.", "x.bin").empty());
}

TEST(TorchPickle, OtherOpcodesAreRefusedByName) {
  int refused = 0;
  for (int code = 0; code < 256; ++code) {
    if (group_of(static_cast<Opcode>(code)) != OpcodeGroup::kUnknown) continue;
    const std::string text = std::string(1, static_cast<char>(code)) + std::string(64, '\n');
    expect_refused(text, ErrorKind::kUnsupported, "opcode " + std::to_string(code) + " ");
    ++refused;
  }
  EXPECT_EQ(refused, 256 - 30);  // torch_opcodes.h lists these and PROTO, which only begins
}

TEST(TorchPickle, ListedOpcodesOnNothing) {
  for (int code = 0; code < 256; ++code) {
    const std::string opcode(1, static_cast<char>(code));
    EXPECT_TRUE(refusal(opcode)) << code;
    EXPECT_TRUE(refusal("(" + opcode)) << code;
    EXPECT_TRUE(refusal(opcode + std::string(64, '\0'))) << code;
  }
}

TEST(TorchPickle, OtherGlobalsAreRefusedByName) {
  for (const char* name : {"posix\nsystem", "builtins\neval", "torch\nload", "torch\nFloatStorage2",
                           "torch._utils\n_rebuild_tensor", "collections\nCounter"}) {
    std::string full = name;
    std::ranges::replace(full, '\n', '.');
    expect_refused("c" + std::string(name) + "\n.", ErrorKind::kUnsupported, full);
  }
  expect_refused("ctorch\nFloatStorage\n)R.", ErrorKind::kFormat, "cannot be called");
}

TEST(TorchPickle, OtherValuesAreRefused) {
  const std::string key("X\x01\0\0\0a", 6);
  expect_refused("}" + key + "K\x01s.", ErrorKind::kUnsupported, "\"a\" is an integer");
  expect_refused("}" + key + "}s.", ErrorKind::kUnsupported, "\"a\" is a dictionary");
  expect_refused("}K\x01" + key + "s.", ErrorKind::kFormat, "a key is an integer");
  expect_refused("].", ErrorKind::kFormat, "the whole is a list");
  expect_refused("}(" + key + "u.", ErrorKind::kFormat, "no value");
  expect_refused("}..", ErrorKind::kFormat, "bytes follow");
  expect_refused("}}.", ErrorKind::kFormat, "before it is done");
  expect_refused("h\x05.", ErrorKind::kFormat, "never stored");
  expect_refused("X\xff\xff\xff\xff", ErrorKind::kFormat, "are due");
  expect_refused("\x8a\x09", ErrorKind::kFormat, "64 bits");
  expect_refused("", ErrorKind::kFormat, "are due");
  const std::string again = format_torch_pickle({tensor("a"), tensor("a")}).substr(2);
  expect_refused(again, ErrorKind::kFormat, "stands twice");
  for (const int protocol : {0, 1, 3, 4, 5, 255}) {
    const std::string text = {'\x80', static_cast<char>(protocol), '}', '.'};
    EXPECT_EQ(error_of([&] { parse_torch_pickle(text, ""); })->kind(), ErrorKind::kUnsupported);
  }
}

TEST(TorchPickle, NegativeSizesAreRefused) {
  for (auto field : {&SavedTensor::storage_elements, &SavedTensor::offset}) {
    SavedTensor bad = tensor("a");
    bad.*field = -1;
    expect_refused(format_torch_pickle({bad}).substr(2), ErrorKind::kFormat, "negative");
  }
  for (auto field : {&SavedTensor::shape, &SavedTensor::strides}) {
    SavedTensor bad = tensor("a");
    bad.*field = {2, -1};
    expect_refused(format_torch_pickle({bad}).substr(2), ErrorKind::kFormat, "negative");
    bad.*field = {2};
    expect_refused(format_torch_pickle({bad}).substr(2), ErrorKind::kFormat, "length");
    bad.*field = std::vector<int64_t>(9, 1);
    expect_refused(format_torch_pickle({bad}).substr(2), ErrorKind::kFormat, "dimensions");
  }
}

// Values that expand without end when followed: a million levels, 2^60 leaves, a cycle.
TEST(TorchPickle, Bombs) {
  std::string deep = ")", wide = ")q";
  for (int i = 0; i < 1'000'000; ++i) deep += '\x85';
  wide += '\0';
  for (int i = 0; i < 60; ++i) wide += std::string("h\0h\0\x86q\0", 7);
  expect_refused(deep + ".", ErrorKind::kFormat, "the whole is a tuple");
  expect_refused(wide + ".", ErrorKind::kFormat, "before it is done");
  expect_refused(std::string("}q\0X\x01\0\0\0ah\0s.", 13), ErrorKind::kUnsupported, "a dictionary");
  expect_refused(std::string(3'000'000, ')'), ErrorKind::kFormat, "two million");
  const int many = 3'000'000;  // marks, recalls and stores cost no object
  expect_refused(std::string(many, '('), ErrorKind::kFormat, "two million marks");
  std::string recalls(")q\0", 3), stores = "}";
  for (int i = 0; i < many; ++i) {
    recalls += std::string("h\0", 2);
    stores += "r" + std::string(reinterpret_cast<const char*>(&i), 4);
  }
  expect_refused(recalls, ErrorKind::kFormat, "higher than two million");
  expect_refused(stores, ErrorKind::kFormat, "stores more than two million");
}

// A key of 1 MB for a storage, of which 20,000 tensors would each keep a copy.
TEST(TorchPickle, LongKeys) {
  SavedTensor long_key = tensor("a");
  long_key.storage = std::string(1 << 20, '0');
  expect_refused(format_torch_pickle({long_key}).substr(2), ErrorKind::kFormat, "too long");
  long_key.storage = std::string(255, '0');
  EXPECT_EQ(parse_torch_pickle(format_torch_pickle({long_key}), "")[0].storage, long_key.storage);
}

// One tensor made again and again from 3 MB.
TEST(TorchPickle, TooManyTensors) {
  std::string text = format_torch_pickle({tensor("a")}).substr(2);
  text.resize(text.size() - 3);  // without the call, SETITEMS and STOP
  const std::string function = "_rebuild_tensor_v2\n";
  text.insert(text.find(function) + function.size(), "q\1");
  text += std::string("q\0R", 3);
  for (int i = 0; i < 600'000; ++i) text += std::string("h\1h\0R", 5);
  expect_refused(text, ErrorKind::kFormat, "too many tensors");
}

TEST(TorchPickle, EveryCutIsRefused) {
  const std::string good = format_torch_pickle({tensor("a"), tensor("b")});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_TRUE(error_of([&] { parse_torch_pickle(good.substr(0, size), ""); })) << size;
  }
}

// Random programs of listed opcodes: an error or a list of tensors, never anything else.
TEST(TorchPickle, RandomPrograms) {
  std::string listed;
  for (int code = 0; code < 256; ++code) {
    if (group_of(static_cast<Opcode>(code)) != OpcodeGroup::kUnknown) {
      listed += static_cast<char>(code);
    }
  }
  const std::string good = format_torch_pickle({tensor("a"), tensor("b")});
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string text = good;
    for (int edit = 0; edit < 3; ++edit) {
      const std::size_t place = 2 + random() % (text.size() - 2);
      switch (random() % 3) {
        case 0:
          text[place] = listed[random() % listed.size()];
          break;
        case 1:
          text.erase(place, 1 + random() % 8);
          break;
        default:
          text.insert(place, text.substr(random() % text.size(), random() % 40));
      }
    }
    error_of([&] { parse_torch_pickle(text, ""); });
  }
}

}  // namespace
}  // namespace adder::io
