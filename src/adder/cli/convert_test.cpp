// adder convert over foreign layouts: folders that tests/golden/make_*.py made.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "adder/cli/test_program.h"
#include "adder/io/file.h"
#include "adder/io/torch_file.h"
#include "adder/model/directory.h"

namespace adder::cli {
namespace {

namespace fs = std::filesystem;

const std::string kGolden = std::string(ADDER_SOURCE_DIR) + "/tests/golden/";

TEST(Convert, OriginalToHuggingFaceAndBack) {
  const TestFolder folder;
  const auto there =
      run_adder({"convert", kGolden + "original-mamba1", folder / "hf", "--to", "hf", "--json"});
  ASSERT_EQ(there.code, 0) << there.err;
  EXPECT_EQ(there.json().at("layout"), "hf");
  const auto back = run_adder({"convert", folder / "hf", folder / "back", "--to", "original"});
  ASSERT_EQ(back.code, 0) << back.err;
  const auto made = io::TorchFile::open(folder / "back/pytorch_model.bin");
  const auto source = io::TorchFile::open(kGolden + "original-mamba1/pytorch_model.bin");
  ASSERT_EQ(made.tensors().size(), source.tensors().size());
  for (const io::TensorInfo& tensor : source.tensors()) {
    EXPECT_TRUE(std::ranges::equal(made.tensor(tensor.name).bytes, tensor.bytes)) << tensor.name;
  }
}

TEST(Convert, WhatDoesNotFitIsNamed) {
  const TestFolder folder;
  const auto hf = run_adder({"convert", kGolden + "original-hybrid", folder / "x", "--to", "hf"});
  EXPECT_EQ(hf.code, 1);
  EXPECT_NE(hf.err.find("layers = mamba2 softmax"), std::string::npos) << hf.err;
  const auto original =
      run_adder({"convert", kGolden + "falcon-mamba", folder / "x", "--to", "original"});
  EXPECT_EQ(original.code, 1);
  EXPECT_NE(original.err.find("mamba1.norm_BCdt"), std::string::npos) << original.err;
  EXPECT_FALSE(fs::exists(folder / "x"));
  const auto any = run_adder(
      {"convert", kGolden + "original-hybrid", folder / "x", "--dtype", "bf16", "--json"});
  ASSERT_EQ(any.code, 0) << any.err;
  EXPECT_EQ(any.json().at("layout"), "adder");
}

TEST(Convert, CompanionsGoAlong) {
  const TestFolder folder;
  fs::copy(kGolden + "original-mamba1", folder / "model");
  const char* names[] = {"tokenizer.json",        "tokenizer.model",         "tokenizer.model.v3",
                         "tokenizer_config.json", "special_tokens_map.json", "chat_template.json",
                         "chat_template.jinja"};
  for (const char* name : names) folder.put(std::string("model/") + name, name);
  folder.put("model/notes.txt", "stay");
  ASSERT_EQ(run_adder({"convert", folder / "model", folder / "to"}).code, 0);
  for (const char* name : names) {
    EXPECT_EQ(io::read_file(folder / (std::string("to/") + name), 1 << 20), name);
  }
  EXPECT_FALSE(fs::exists(folder / "to/notes.txt"));
}

TEST(Convert, LinksThatLeaveTheModelAreNotFollowed) {
  const TestFolder folder;
  const fs::path cache = folder / "models--x";
  const fs::path model = cache / "snapshots" / "1";
  fs::create_directories(cache / "snapshots");
  fs::create_directories(cache / "blobs");
  fs::copy(kGolden + "original-mamba1", model);
  fs::rename(model / "pytorch_model.bin", cache / "blobs" / "w");
  fs::create_symlink("../../blobs/w", model / "pytorch_model.bin");
  io::write_file_atomic(cache / "blobs" / "t", std::string_view("vocabulary"));
  fs::create_symlink("../../blobs/t", model / "tokenizer.model");
  fs::create_symlink("tokenizer.model", model / "tokenizer.model.v3");
  fs::create_symlink(folder.put("secret", "key"), model / "chat_template.jinja");
  const auto done = run_adder({"convert", model.string(), folder / "to"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(io::read_file(folder / "to/tokenizer.model", 100), "vocabulary");
  EXPECT_EQ(io::read_file(folder / "to/tokenizer.model.v3", 100), "vocabulary");
  EXPECT_FALSE(fs::exists(folder / "to/chat_template.jinja"));
  EXPECT_NE(done.err.find("chat_template.jinja is not copied"), std::string::npos) << done.err;
}

TEST(Convert, AFlippedBitInAStorageIsNoticed) {
  const TestFolder folder;
  fs::copy(kGolden + "original-mamba1", folder / "model");
  const std::string file = folder / "model/pytorch_model.bin";
  const auto opened = io::TorchFile::open(file);
  const auto& tensor = opened.tensor("backbone.layers.1.mixer.in_proj.weight");
  std::string bytes = io::read_file(file, 1 << 24);
  const std::string values(reinterpret_cast<const char*>(tensor.bytes.data()), 64);
  bytes[bytes.find(values) + 9] ^= 1;
  io::write_file_atomic(file, bytes);
  const auto done = run_adder({"convert", folder / "model", folder / "to", "--to", "hf"});
  EXPECT_EQ(done.code, 1);
  EXPECT_NE(done.err.find("'" + tensor.name + "'"), std::string::npos) << done.err;
  EXPECT_NE(done.err.find("checksum"), std::string::npos) << done.err;
  EXPECT_FALSE(fs::exists(folder / "to"));
}

TEST(Convert, TextOfAFileDoesNotSteerTheTerminal) {
  const TestFolder folder;
  fs::create_directory(folder / "model");
  folder.put("model/config.json",
             R"({"model_type": "\u001b[2J)" + std::string(1 << 20, 'x') + R"("})");
  const auto done = run_adder({"convert", folder / "model", folder / "to", "--json"});
  EXPECT_EQ(done.code, 1);
  EXPECT_EQ(done.err.find('\x1b'), std::string::npos);
  EXPECT_LT(done.err.size(), 8000u);
  EXPECT_EQ(done.json().at("error").at("kind"), "unsupported");
}

}  // namespace
}  // namespace adder::cli
