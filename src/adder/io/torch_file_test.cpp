// Against what torch.save wrote (tests/golden/make_torch_files.py), and hostile files.
#include "adder/io/torch_file.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "adder/io/json.h"
#include "adder/io/testing.h"
#include "adder/io/torch_pickle.h"
#include "adder/io/weights.h"
#include "adder/io/zip.h"

namespace adder::io {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::flip;
using testing::kind_of;
using testing::TemporaryFolder;

const fs::path kFolder = fs::path(ADDER_SOURCE_DIR) / "tests/golden/torch-files";

template <typename T>
double value_at(const TensorInfo& tensor, std::size_t index) {
  const T value = reinterpret_cast<const T*>(tensor.bytes.data())[index];
  if constexpr (requires { to_float(value); }) {
    return to_float(value);
  } else {
    return static_cast<double>(value);
  }
}

double element(const TensorInfo& tensor, std::size_t index) {
  switch (tensor.dtype) {
    case DType::f64:
      return value_at<double>(tensor, index);
    case DType::f32:
      return value_at<float>(tensor, index);
    case DType::bf16:
      return value_at<bf16>(tensor, index);
    case DType::f16:
      return value_at<f16>(tensor, index);
    case DType::i64:
      return value_at<int64_t>(tensor, index);
    case DType::i32:
      return value_at<int32_t>(tensor, index);
    case DType::i16:
      return value_at<int16_t>(tensor, index);
    case DType::i8:
      return value_at<int8_t>(tensor, index);
    default:
      return value_at<uint8_t>(tensor, index);
  }
}

TEST(TorchFile, TensorsOfEveryTypeAndStride) {
  const TorchFile file = TorchFile::open(kFolder / "plain.bin");
  const Json golden = read_json_file(kFolder / "plain.json");
  EXPECT_EQ(file.tensors().size(), golden.size());
  for (const auto& [name, expected] : golden.items()) {
    const TensorInfo& tensor = file.tensor(name);
    EXPECT_EQ(tensor.shape, expected.at("shape").get<std::vector<int64_t>>()) << name;
    const auto values = expected.at("values").get<std::vector<double>>();
    ASSERT_EQ(tensor.bytes.size(), values.size() * static_cast<std::size_t>(size_of(tensor.dtype)));
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(element(tensor, i), values[i]) << name << " " << i;
    }
  }
  EXPECT_EQ(file.tensor("bfloat16").dtype, DType::bf16);
  EXPECT_EQ(file.tensor("bool").dtype, DType::boolean);
  EXPECT_EQ(file.tensor("tied").bytes.data(), file.tensor("table").bytes.data());
  EXPECT_EQ(file.tensor("rows").bytes.data(), file.tensor("table").bytes.data() + 24);
  for (const char* name : {"rows", "columns"}) {  // in the file, in memory
    std::vector<std::byte> bytes(file.tensor(name).bytes.size());
    file.read(name, bytes);
    EXPECT_TRUE(std::ranges::equal(bytes, file.tensor(name).bytes)) << name;
  }
}

TEST(TorchFile, AModulesStateDict) {
  const TorchFile file = TorchFile::open(kFolder / "module.bin");
  EXPECT_EQ(file.tensor("weight").shape, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(file.tensor("bias").shape, (std::vector<int64_t>{3}));
  EXPECT_EQ(file.tensors().size(), 2u);
}

TEST(TorchFile, WhatIsNotPlainIsRefused) {
  const std::pair<const char*, const char*> cases[] = {{"old.bin", "before torch 1.6"},
                                                       {"checkpoint.bin", "\"state_dict\" is"},
                                                       {"repeated.bin", "repeats its elements"},
                                                       {"call.bin", "posix.system"}};
  for (const auto& [name, part] : cases) {
    const auto error = error_of([&] { open_tensor_file(kFolder / name); });
    ASSERT_TRUE(error) << name;
    EXPECT_EQ(error->kind(), ErrorKind::kUnsupported) << name;
    EXPECT_NE(std::string(error->what()).find(part), std::string::npos) << error->what();
    EXPECT_EQ(error->text().next.find("download"), std::string::npos) << error->what();
  }
}

TEST(TorchFile, ShardsWithAnIndex) {
  const Weights weights = open_weights(kFolder / "shards");
  EXPECT_EQ(weights.files().size(), 2u);
  EXPECT_EQ(element(weights.tensor("b"), 5), 5);
  EXPECT_EQ(weights.tensor("again").bytes.data(), weights.tensor("a").bytes.data());
}

class TorchBytes : public ::testing::Test {
 protected:
  fs::path written(std::string_view bytes) { return folder_.file("x.bin", bytes); }
  /// The refusal of a file with one storage "0" of 24 bytes and a tensor like this.
  std::string refusal(const SavedTensor& tensor) {
    ZipWriter zip(folder_.path() / "y.bin");
    zip.add("y/data.pkl", as_bytes(format_torch_pickle({tensor})));
    zip.add("y/data/0", as_bytes(std::string(24, 'x')));
    zip.commit();
    const auto error = error_of([&] { TorchFile::open(folder_.path() / "y.bin"); });
    return error ? error->what() : "";
  }

  TemporaryFolder folder_;
};

TEST_F(TorchBytes, TensorsStayInTheirStorages) {
  const SavedTensor good{
      .name = "a", .storage = "0", .storage_elements = 6, .shape = {2, 3}, .strides = {3, 1}};
  EXPECT_EQ(refusal(good), "");
  const auto with = [&](auto field, auto value) {
    SavedTensor bad = good;
    bad.*field = value;
    return refusal(bad);
  };
  constexpr int64_t huge = std::numeric_limits<int64_t>::max();
  const auto has = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  has(with(&SavedTensor::storage, "1"), "does not hold");
  has(with(&SavedTensor::storage, "../data/0"), "does not hold");
  has(with(&SavedTensor::storage_elements, 7), "24 bytes");
  has(with(&SavedTensor::storage_elements, huge), "overflow");
  has(with(&SavedTensor::offset, 1), "reaches past");
  has(with(&SavedTensor::offset, huge), "overflow");
  has(with(&SavedTensor::dtype, DType::f64), "24 bytes");
  has(with(&SavedTensor::shape, std::vector<int64_t>{3, 3}), "reaches past");
  has(with(&SavedTensor::shape, std::vector<int64_t>{huge, huge}), "overflow");
  has(with(&SavedTensor::shape, std::vector<int64_t>{huge, 0}), "overflow");
  EXPECT_EQ(with(&SavedTensor::shape, std::vector<int64_t>{0, 9}), "");
  has(with(&SavedTensor::strides, std::vector<int64_t>{huge, huge}), "overflow");
  has(with(&SavedTensor::strides, std::vector<int64_t>{4, 1}), "reaches past");
  EXPECT_EQ(with(&SavedTensor::strides, std::vector<int64_t>{1, 2}), "");
}

TEST_F(TorchBytes, ChecksumOfThePickle) {
  std::string bytes = read_file(kFolder / "plain.bin", 1 << 20);
  const std::size_t place = bytes.find("transposed");
  bytes[place] = 'T';
  const auto error = error_of([&] { TorchFile::open(written(bytes)); });
  ASSERT_TRUE(error);
  EXPECT_NE(error->text().why.find("checksum"), std::string::npos) << error->what();
}

TEST_F(TorchBytes, ChecksumsOfTheStorages) {
  const fs::path path = folder_.path() / "x.bin";
  const std::string data = "0123456789abcdef";
  stream_torch_file(
      path,
      pending({{"a", DType::f16, {8}, as_bytes(data)}, {"b", DType::f32, {4}, as_bytes(data)}}),
      {{"again", "b"}});
  const std::string bytes = read_file(path, 1 << 20);
  TorchFile::open(path).verify("b");
  flip(path, bytes.rfind(data) * 8 + 9);
  const TorchFile file = TorchFile::open(path);
  file.verify("a");
  for (const std::string name : {"b", "again"}) {
    const auto error = error_of([&] { file.verify(name); });
    ASSERT_TRUE(error) << name;
    EXPECT_EQ(error->kind(), ErrorKind::kFormat);
    EXPECT_NE(error->text().where.find("'" + name + "'"), std::string::npos) << error->what();
  }
}

TEST_F(TorchBytes, ASecondPickleIsRefused) {
  ZipWriter zip(folder_.path() / "y.bin");
  for (const char* name : {"y/data.pkl", "z/data.pkl"}) {
    zip.add(name, as_bytes(format_torch_pickle({})));
  }
  zip.commit();
  const auto error = error_of([&] { TorchFile::open(folder_.path() / "y.bin"); });
  ASSERT_TRUE(error);
  EXPECT_NE(error->text().why.find("more than one"), std::string::npos) << error->what();
}

TEST_F(TorchBytes, EveryCutIsRefused) {
  const std::string bytes = read_file(kFolder / "module.bin", 1 << 20);
  const fs::path path = written(bytes);
  for (std::size_t size = bytes.size(); size-- > 0;) {
    fs::resize_file(path, size);
    EXPECT_EQ(kind_of([&] { TorchFile::open(path); }), ErrorKind::kFormat) << size;
    EXPECT_EQ(kind_of([&] { open_tensor_file(path); }), ErrorKind::kFormat) << size;
  }
}

// module.bin has no checksums: each flip reaches the pickle.
TEST_F(TorchBytes, EveryFlippedBitLeavesTensorsInside) {
  const std::string good = read_file(kFolder / "module.bin", 1 << 20);
  const fs::path path = written(good);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    flip(path, bit);
    try {
      const TorchFile file = TorchFile::open(path);
      for (const TensorInfo& tensor : file.tensors()) {
        EXPECT_EQ(tensor.elements() * size_of(tensor.dtype),
                  static_cast<int64_t>(tensor.bytes.size()));
        std::vector<std::byte> copy(tensor.bytes.begin(), tensor.bytes.end());  // readable
        EXPECT_EQ(copy.size(), tensor.bytes.size());
      }
    } catch (const Error&) {
    }
    flip(path, bit);
  }
}

TEST_F(TorchBytes, WhatIsWrittenIsRead) {
  const std::string bytes = "0123456789abcdefghijklmn";
  const std::vector<PendingTensor> tensors =
      pending({{"table", DType::f16, {3, 4}, as_bytes(bytes)},
               {"vector", DType::u8, {5}, as_bytes(bytes).first(5)},
               {"none", DType::f32, {0, 2}, {}}});
  const fs::path path = folder_.path() / "z.bin";
  stream_torch_file(path, tensors, {{"head", "table"}});
  const TorchFile file = TorchFile::open(path);
  EXPECT_EQ(file.tensors().size(), 4u);
  EXPECT_TRUE(std::ranges::equal(file.tensor("table").bytes, as_bytes(bytes)));
  EXPECT_EQ(file.tensor("head").bytes.data(), file.tensor("table").bytes.data());
  EXPECT_EQ(file.tensor("vector").shape, std::vector<int64_t>{5});
  EXPECT_EQ(file.tensor("none").shape, (std::vector<int64_t>{0, 2}));
  std::vector<PendingTensor> wrong = tensors;
  wrong[1].shape = {6};
  EXPECT_EQ(kind_of([&] { stream_torch_file(path, wrong); }), ErrorKind::kShape);
  EXPECT_EQ(TorchFile::open(path).tensors().size(), 4u);  // as it was
}

}  // namespace
}  // namespace adder::io
