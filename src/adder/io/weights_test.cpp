#include "adder/io/weights.h"

#include <algorithm>

#include "adder/io/json.h"
#include "adder/io/safetensors.h"
#include "adder/io/testing.h"

namespace adder::io {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::kind_of;
using testing::TemporaryFolder;

constexpr const char* kIndex = "model.safetensors.index.json";

// Two shards: a and b (8 bytes each) in the first, c (4 bytes) in the second.
class WeightsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_safetensors(folder_.path() / "s1.safetensors", {of("a", "aaaaaaaa"), of("b", "bbbbbbbb")},
                      {{"format", "pt"}});
    write_safetensors(folder_.path() / "s2.safetensors", {of("c", "cccc")});
  }
  static TensorInfo of(const std::string& name, std::string_view data) {
    return {name, DType::u8, {static_cast<int64_t>(data.size())}, as_bytes(data)};
  }
  void index(const Json& map, const Json& total = 20) {
    folder_.file(kIndex, Json({{"metadata", {{"total_size", total}}}, {"weight_map", map}}).dump());
  }
  std::string refusal(ErrorKind kind = ErrorKind::kFormat) {
    const auto error = error_of([&] { open_weights(folder_.path()); });
    EXPECT_TRUE(error);
    if (!error) return "";
    EXPECT_EQ(error->kind(), kind) << error->what();
    EXPECT_NE(error->text().where.find(kIndex), std::string::npos) << error->what();
    return error->text().why;
  }

  const Json good_ = {{"a", "s1.safetensors"}, {"b", "s1.safetensors"}, {"c", "s2.safetensors"}};
  TemporaryFolder folder_;
};

TEST_F(WeightsTest, OneLookupOverAllShards) {
  index(good_);
  Weights opened = open_weights(folder_.path());
  const Weights weights = std::move(opened);
  EXPECT_EQ(weights.files().size(), 2u);
  EXPECT_EQ(weights.tensors().size(), 3u);
  EXPECT_EQ(weights.tensor("a").bytes[0], std::byte{'a'});
  EXPECT_EQ(weights.find("c")->bytes[3], std::byte{'c'});
  EXPECT_EQ(weights.find("d"), nullptr);
  EXPECT_EQ(weights.metadata().at("format"), "pt");
  EXPECT_EQ(kind_of([&] { weights.tensor("d"); }), ErrorKind::kNotFound);
  fs::resize_file(folder_.path() / "s2.safetensors", 3);
  EXPECT_EQ(kind_of([&] { weights.tensor("c"); }), ErrorKind::kIo);
}

TEST_F(WeightsTest, OneFile) {
  EXPECT_EQ(kind_of([&] { open_weights(folder_.path()); }), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of([&] { open_weights(folder_.path() / "none"); }), ErrorKind::kNotFound);
  EXPECT_EQ(open_weights(folder_.path() / "s1.safetensors").tensors().size(), 2u);
  fs::rename(folder_.path() / "s2.safetensors", folder_.path() / "model.safetensors");
  EXPECT_EQ(open_weights(folder_.path()).tensors().size(), 1u);
}

// List A, 12.
TEST_F(WeightsTest, IndexAndShardsMustAgree) {
  Json map = good_;
  map["c"] = "s3.safetensors";
  index(map);
  refusal(ErrorKind::kNotFound);
  map = good_;
  map["d"] = "s2.safetensors";
  index(map);
  EXPECT_EQ(refusal(), "tensor \"d\" is not in s2.safetensors");
  map = good_;
  map.erase("b");
  index(map);
  EXPECT_EQ(refusal(), "tensor \"b\" of s1.safetensors is not in it");
  map = good_;
  map["b"] = "s2.safetensors";
  index(map);
  EXPECT_EQ(refusal(), "tensor \"b\" stands in s1.safetensors, the index says s2.safetensors");
  write_safetensors(folder_.path() / "s2.safetensors", {of("c", "cccc"), of("a", "aaaaaaaa")});
  index(good_, 28);
  EXPECT_EQ(refusal(), "tensor \"a\" stands in s2.safetensors, the index says s1.safetensors");
}

TEST_F(WeightsTest, TotalSize) {
  index(good_, 20.0);
  EXPECT_NO_THROW(open_weights(folder_.path()));
  for (const Json& total : {Json(19), Json(21), Json(-1)}) {
    index(good_, total);
    refusal();
  }
  folder_.file(kIndex, Json({{"weight_map", good_}}).dump());
  EXPECT_NO_THROW(open_weights(folder_.path()));
}

TEST_F(WeightsTest, NamesStayInTheFolder) {
  fs::create_directory(folder_.path() / "sub");
  fs::copy(folder_.path() / "s2.safetensors", folder_.path() / "sub" / "s2.safetensors");
  const std::string absolute = (folder_.path() / "s2.safetensors").string();
  for (const std::string& name :
       {std::string("../s2.safetensors"), std::string("sub/s2.safetensors"), absolute,
        std::string(".."), std::string("."), std::string(), std::string("s2.safetensors\0x", 16)}) {
    Json map = good_;
    map["c"] = name;
    index(map);
    EXPECT_NE(refusal().find("leaves the folder"), std::string::npos);
  }
}

TEST_F(WeightsTest, MalformedIndexes) {
  Json map = good_;
  map["c"] = 3;
  index(map);
  EXPECT_EQ(error_of([&] { open_weights(folder_.path()); })->kind(), ErrorKind::kFormat);
  for (const char* text : {"", "[]", "{}", "{\"weight_map\":[]}", "{\"weight_map\":null}"}) {
    folder_.file(kIndex, text);
    EXPECT_EQ(kind_of([&] { open_weights(folder_.path()); }), ErrorKind::kFormat) << text;
  }
  fs::remove(folder_.path() / "s2.safetensors");
  fs::create_symlink("s2.safetensors", folder_.path() / "s2.safetensors");
  index(good_);
  refusal(ErrorKind::kIo);
}

TEST_F(WeightsTest, WriteWeightsShardsAndComesBack) {
  const std::vector<TensorInfo> tensors = {of("x", "0123456789"), of("y", "abcde"),
                                           of("z", "fghij"), of("w", "k")};
  const auto out = folder_.path() / "out";
  make_directories(out);
  write_weights(out, pending(tensors), {{"format", "pt"}});
  EXPECT_EQ(open_weights(out).files().size(), 1u);
  write_weights(out, pending(tensors), {{"format", "pt"}}, 10);
  EXPECT_FALSE(fs::exists(out / "model.safetensors"));
  EXPECT_TRUE(fs::exists(out / "model-00003-of-00003.safetensors"));
  const auto weights = open_weights(out);
  EXPECT_EQ(weights.files().size(), 3u);  // x | y z | w
  for (const auto& t : tensors)
    EXPECT_TRUE(std::ranges::equal(weights.tensor(t.name).bytes, t.bytes));
}

}  // namespace
}  // namespace adder::io
