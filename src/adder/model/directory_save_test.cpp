// Folders from one layout to another, and how much memory that takes.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "adder/io/file.h"
#include "adder/io/safetensors.h"
#include "adder/io/torch_file.h"
#include "adder/io/weights.h"
#include "adder/model/directory.h"
#include "adder/model/hf.h"
#include "adder/model/test_support.h"

namespace adder::model {
namespace {

namespace fs = std::filesystem;
using io::testing::TemporaryFolder;
using testing::expect_error;
using testing::kGolden;

std::span<const std::byte> bytes_of(const TensorView& tensor) {
  return {static_cast<const std::byte*>(tensor.data),
          static_cast<std::size_t>(element_count(tensor.shape) * size_of(tensor.dtype))};
}

/// Equal names, shapes, types and bytes.
void expect_same(const Weights& a, const Weights& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    ASSERT_TRUE(b.contains(name)) << name;
    const TensorView& other = b.at(name);
    EXPECT_EQ(tensor.shape, other.shape) << name;
    EXPECT_EQ(tensor.dtype, other.dtype) << name;
    EXPECT_TRUE(std::ranges::equal(bytes_of(tensor), bytes_of(other))) << name;
  }
}

std::string options_of(const ModelConfig& config) {
  return config_to_adder(config).dump(2);  // of the mixers that it uses
}

/// Saves `from` as `layout` and reads it back.
void expect_round_trip(const ModelDirectory& from, SaveLayout layout) {
  const TemporaryFolder folder;
  save_model(folder.path(), from.config(), from.weights(),
             {.special_tokens = from.special_tokens(), .layout = layout});
  const auto back = ModelDirectory::open(folder.path());
  EXPECT_EQ(options_of(back.config()), options_of(from.config()));
  EXPECT_EQ(back.special_tokens(), from.special_tokens());
  expect_same(back.weights(), from.weights());
}

// The folders were made by transformers and torch: tests/golden/make_*.py.
TEST(SaveModel, EveryLayoutKeepsEveryBit) {
  for (const char* name : {"mamba1-plain", "mamba1-bias", "mamba2-plain", "mamba2-bias"}) {
    SCOPED_TRACE(name);
    const auto model = ModelDirectory::open(kGolden / name);
    expect_round_trip(model, SaveLayout::kHf);
    expect_round_trip(model, SaveLayout::kAdder);
    // The original layout has no field for how the embedding starts: the tensors alone.
    const TemporaryFolder folder;
    save_model(folder.path(), model.config(), model.weights(), {.layout = SaveLayout::kOriginal});
    expect_same(ModelDirectory::open(folder.path()).weights(), model.weights());
  }
  for (const char* name : {"mamba1-sizes", "falcon-mamba"}) {
    const auto model = ModelDirectory::open(kGolden / name);
    expect_round_trip(model, SaveLayout::kHf);
    expect_error([&] { expect_round_trip(model, SaveLayout::kOriginal); }, ErrorKind::kUnsupported,
                 "has no field there");
  }
  for (const char* name :
       {"original-mamba1", "original-mamba2", "original-hybrid", "original-transformer"}) {
    SCOPED_TRACE(name);
    const auto model = ModelDirectory::open(kGolden / name);
    expect_round_trip(model, SaveLayout::kOriginal);
    expect_round_trip(model, SaveLayout::kAny);
  }
}

// The folder is read as what was saved last, whatever stood there.
TEST(SaveModel, WeightsOfAnotherLayoutGo) {
  const auto model = ModelDirectory::open(kGolden / "original-mamba1");
  for (const SaveLayout layout : {SaveLayout::kHf, SaveLayout::kAdder, SaveLayout::kOriginal}) {
    const TemporaryFolder folder;
    for (const char* old :
         {"model.safetensors", "model.safetensors.index.json", "consolidated.safetensors",
          "pytorch_model.bin", "pytorch_model.bin.index.json"}) {
      folder.file(old, "old");
    }
    save_model(folder.path(), model.config(), model.weights(), {.layout = layout});
    expect_same(ModelDirectory::open(folder.path()).weights(), model.weights());
    EXPECT_EQ(folder.entries(), 3);  // the weights and two configurations
  }
}

TEST(SaveModel, ASourceThatShrinksIsNamed) {
  const auto golden = ModelDirectory::open(kGolden / "original-mamba1");
  const TemporaryFolder from, to;
  save_model(from.path(), golden.config(), golden.weights(), {.layout = SaveLayout::kHf});
  const auto model = ModelDirectory::open(from.path(), Bytes::kAsStored);
  const fs::path source = from.path() / "model.safetensors";
  int written = 0;
  const auto cut = [&](int64_t) {
    if (++written == 3) fs::resize_file(source, 100);
  };
  const auto save = [&] {
    save_model(to.path() / "x", model.config(), model.weights(),
               {.source = &model, .progress = cut});
  };
  expect_error(save, ErrorKind::kIo, source.string());
  expect_error(save, ErrorKind::kIo, "changed while it was read");
  EXPECT_TRUE(fs::is_empty(to.path() / "x"));
}

TEST(SaveModel, OriginalNames) {
  const auto model = ModelDirectory::open(kGolden / "mamba1-plain");
  const TemporaryFolder folder;
  save_model(folder.path(), model.config(), model.weights(), {.layout = SaveLayout::kOriginal});
  const auto file = io::TorchFile::open(folder.path() / "pytorch_model.bin");
  EXPECT_EQ(file.tensor("lm_head.weight").bytes.data(),
            file.tensor("backbone.embedding.weight").bytes.data());
  EXPECT_EQ(file.find("backbone.embeddings.weight"), nullptr);
  const io::Json config = io::read_json_file(folder.path() / "config.json");
  for (const char* key : {"model_type", "eos_token_id", "torch_dtype"}) {
    EXPECT_FALSE(config.contains(key)) << key;  // MambaConfig takes no other fields
  }
}

TEST(SaveModel, DtypeKeepsTheSmallTensors) {
  const auto model = ModelDirectory::open(kGolden / "original-mamba1");
  const TemporaryFolder folder;
  std::vector<int64_t> steps;
  save_model(folder.path(), model.config(), model.weights(),
             {.dtype = DType::f16, .progress = [&](int64_t bytes) { steps.push_back(bytes); }});
  const auto read = ModelDirectory::open(folder.path());
  const std::string mixer = "backbone.layers.0.mixer.";
  for (const char* name : {"A_log", "D", "dt_proj.bias", "conv1d.weight", "conv1d.bias"}) {
    EXPECT_EQ(read.weights().at(mixer + name).dtype, DType::f32) << name;
  }
  for (const char* name : {"in_proj.weight", "x_proj.weight", "dt_proj.weight"}) {
    EXPECT_EQ(read.weights().at(mixer + name).dtype, DType::f16) << name;
  }
  EXPECT_EQ(steps.size(), read.weights().size());
  EXPECT_TRUE(std::ranges::is_sorted(steps));
  EXPECT_LT(steps.back(), saved_bytes(model.config(), model.weights(), DType::f16));
}

// mistral's folder: other names of the files, a prefix on the tensors.
TEST(SaveModel, MistralFolderIsRead) {
  const io::Json params = io::parse_json(
      R"({"dim": 32, "n_layers": 2, "vocab_size": 64, "n_groups": 1, "tie_embeddings": false})",
      "");
  const ModelConfig config = config_from_json(params, "params.json");
  const TemporaryFolder folder;
  std::vector<std::vector<float>> storage;
  std::vector<io::TensorInfo> tensors;
  for (const TensorSpec& spec : tensor_specs(config)) {
    auto& values = storage.emplace_back(static_cast<std::size_t>(element_count(spec.shape)), 0.5f);
    std::string name = "model." + spec.name;
    if (const auto at = name.find("embeddings"); at != std::string::npos) name.erase(at + 9, 1);
    tensors.push_back({name, DType::f32, spec.shape, std::as_bytes(std::span(values))});
  }
  io::write_safetensors(folder.path() / "consolidated.safetensors", tensors);
  folder.file("params.json", params.dump());
  const auto read = ModelDirectory::open(folder.path());
  EXPECT_EQ(read.weights().size(), tensors.size());
  EXPECT_EQ(read.special_tokens().eos, std::vector<int32_t>{2});
}

TEST(SaveModel, ShardsOfTorchFilesAreRead) {
  const auto whole = io::TorchFile::open(kGolden / "original-mamba1" / "pytorch_model.bin");
  const TemporaryFolder folder;
  fs::copy(kGolden / "original-mamba1" / "config.json", folder.path() / "config.json");
  std::vector<io::TensorInfo> shards[2];
  io::Json map = io::Json::object();
  int64_t bytes = 0;
  for (const io::TensorInfo& tensor : whole.tensors()) {
    if (tensor.name == "lm_head.weight") continue;
    const std::size_t shard = tensor.name < "backbone.layers.2" ? 0 : 1;
    shards[shard].push_back(tensor);
    map[tensor.name] = "pytorch_model-0000" + std::to_string(shard + 1) + "-of-00002.bin";
    bytes += static_cast<int64_t>(tensor.bytes.size());
  }
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string name = "pytorch_model-0000" + std::to_string(i + 1) + "-of-00002.bin";
    io::stream_torch_file(folder.path() / name, io::pending(shards[i]));
  }
  io::write_json_file(folder.path() / "pytorch_model.bin.index.json",
                      {{"metadata", {{"total_size", bytes}}}, {"weight_map", map}});
  expect_same(ModelDirectory::open(folder.path()).weights(),
              ModelDirectory::open(kGolden / "original-mamba1").weights());
}

/// kB of anonymous memory that this process may write to.
int64_t data_kb() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "VmData:") continue;
    int64_t kb = 0;
    status >> kb;
    return kb;
  }
  return 0;
}

/// Saves in a child process that may take `extra_kb` of memory beyond what it has.
bool save_within(int64_t extra_kb, const fs::path& from, const fs::path& to, SaveLayout layout) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      const auto bytes = static_cast<rlim_t>((data_kb() + extra_kb) * 1024);
      const rlimit limit = {bytes, bytes};
      if (setrlimit(RLIMIT_DATA, &limit) != 0) _exit(2);
      const auto model = ModelDirectory::open(from, Bytes::kAsStored);
      save_model(to, model.config(), model.weights(),
                 {.dtype = DType::bf16, .layout = layout, .source = &model});
      _exit(0);
    } catch (const std::exception&) {
      _exit(1);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// 78 MB of f32 become 39 MB of bf16 with 5 MB, a little more than the largest tensor (4 MB).
TEST(SaveModel, OneTensorInMemory) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the address sanitizer takes memory of its own";
#endif
  ModelConfig config;
  config.layers = {"mamba1"};
  config.vocab_size = 4096;
  config.d_model = 512;
  config.n_layer = 10;
  const TemporaryFolder folder;
  const std::vector<float> values(std::size_t{4096} * 512, 0.25f);
  std::vector<io::PendingTensor> tensors;
  for (const TensorSpec& spec : tensor_specs(config)) {
    const auto count = static_cast<std::size_t>(element_count(spec.shape));
    const auto bytes = std::as_bytes(std::span(values).first(count));
    tensors.push_back({spec.name, DType::f32, spec.shape, [bytes] { return bytes; }});
  }
  io::write_weights(folder.path(), std::move(tensors));
  io::write_json_file(folder.path() / "config.json", config_to_hf(config));
  const fs::path to = folder.path() / "to";
  for (const SaveLayout layout : {SaveLayout::kHf, SaveLayout::kOriginal}) {
    EXPECT_TRUE(save_within(5 * 1024, folder.path(), to, layout));
    EXPECT_FALSE(save_within(3 * 1024, folder.path(), to, layout));  // the limit does bind
    fs::remove_all(to);
  }
  // No tensor stands at an address of its type: one more byte of header.
  const fs::path file = folder.path() / "model.safetensors";
  std::string text = io::read_file(file, int64_t{1} << 30);
  uint64_t header = 0;
  std::memcpy(&header, text.data(), sizeof header);
  text.insert(sizeof header + header, " ");
  ++header;
  std::memcpy(text.data(), &header, sizeof header);
  io::write_file_atomic(file, text);
  text = {};
  EXPECT_TRUE(save_within(5 * 1024, folder.path(), to, SaveLayout::kHf));
}

}  // namespace
}  // namespace adder::model
