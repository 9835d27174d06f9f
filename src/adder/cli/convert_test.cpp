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

}  // namespace
}  // namespace adder::cli
