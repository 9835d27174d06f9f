#include "adder/io/weights.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "adder/base/checked.h"
#include "adder/base/error.h"
#include "adder/base/options.h"
#include "adder/io/json.h"
#include "adder/io/safetensors.h"

namespace adder::io {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
/// Where a model directory may hold its weights; the first that is there is taken.
constexpr const char* kWeightFiles[] = {kSingleFile, kIndexFile, "consolidated.safetensors",
                                        kTorchFile, "pytorch_model.bin.index.json"};

[[noreturn]] void refuse(const fs::path& where, const std::string& why) {
  throw Error(ErrorKind::kFormat, {.what = "the model's shards and their index do not agree",
                                   .where = where.string(),
                                   .why = why,
                                   .next = "fetch or convert the model again"});
}

// A name that stays in the folder it is looked up in.
bool plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

void check_shards(const fs::path& index, const std::map<std::string, std::string>& shard_of,
                  const std::vector<TensorFile>& files) {
  std::size_t present = 0;
  for (const auto& file : files) {
    const std::string shard = file.path().filename().string();
    for (const auto& tensor : file.tensors()) {
      const auto named = shard_of.find(tensor.name);
      if (named == shard_of.end())
        refuse(index, "tensor \"" + tensor.name + "\" of " + shard + " is not in it");
      if (named->second != shard) {
        refuse(index, "tensor \"" + tensor.name + "\" stands in " + shard + ", the index says " +
                          named->second);
      }
      ++present;
    }
  }
  if (present == shard_of.size()) return;
  for (const auto& [tensor, shard] : shard_of) {
    const bool there =
        std::ranges::any_of(files, [&](const auto& f) { return f.find(tensor) != nullptr; });
    if (!there) refuse(index, "tensor \"" + tensor + "\" is not in " + shard);
  }
}

void check_total(const fs::path& index, const JsonView& root,
                 const std::vector<TensorFile>& files) {
  const auto metadata = root.find("metadata");
  const auto total = metadata ? metadata->find("total_size") : std::nullopt;
  if (!total) return;
  int64_t bytes = 0;
  std::set<const std::byte*>
      seen;  // tensors of a torch file may share their bytes: they count once
  for (const auto& file : files) {
    for (const auto& tensor : file.tensors()) {
      if (!tensor.bytes.empty() && !seen.insert(tensor.bytes.data()).second) continue;
      bytes = checked_add(bytes, static_cast<int64_t>(tensor.bytes.size()), "all tensors");
    }
  }
  // Some writers put a float there.
  if (total->as_number() != static_cast<double>(bytes)) {
    refuse(index, "metadata.total_size is " + total->json().dump() + ", the shards hold " +
                      std::to_string(bytes) + " bytes of tensors");
  }
}

std::vector<TensorFile> open_shards(const fs::path& index) {
  const Json document = read_json_file(index);
  const JsonView root(document, index.string());
  const JsonView map = root.at("weight_map");
  if (!map.json().is_object()) map.fail("an object");
  std::map<std::string, std::string> shard_of;
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map.json().items()) {
    const std::string name = JsonView(shard, index.string(), "weight_map." + tensor).as_string();
    if (!plain_file_name(name)) refuse(index, "the shard name \"" + name + "\" leaves the folder");
    shard_of.emplace(tensor, name);
    shards.insert(name);
  }
  std::vector<TensorFile> files;
  for (const auto& shard : shards) {
    try {
      files.push_back(open_tensor_file(index.parent_path() / shard));
    } catch (const Error& error) {
      throw error.within(index.string());
    }
  }
  check_shards(index, shard_of, files);
  check_total(index, root, files);
  return files;
}

std::string shard_name(std::size_t number, std::size_t count) {
  char name[64];
  std::snprintf(name, sizeof(name), "model-%05zu-of-%05zu.safetensors", number, count);
  return name;
}

}  // namespace

Weights::Weights(std::vector<TensorFile> files) : files_(std::move(files)) {
  for (const auto& file : files_) {
    for (const auto& tensor : file.tensors()) {
      if (!owner_.emplace(tensor.name, &file).second) {
        refuse(file.path(), "tensor \"" + tensor.name + "\" stands in another file too");
      }
      tensors_.push_back(&tensor);
    }
  }
}

const TensorInfo* Weights::find(std::string_view name) const {
  const auto owner = owner_.find(name);
  return owner == owner_.end() ? nullptr : owner->second->find(name);
}

const TensorInfo& Weights::tensor(std::string_view name) const {
  if (const auto owner = owner_.find(name); owner != owner_.end())
    return owner->second->tensor(name);
  std::vector<std::string> names;
  for (const auto* tensor : tensors_) names.push_back(tensor->name);
  const auto near = nearest(name, names);
  throw Error(ErrorKind::kNotFound,
              {.what = "the model has no tensor \"" + std::string(name) + "\"",
               .where = files_.empty() ? "" : files_.front().path().parent_path().string(),
               .next = near.empty() ? "" : "the nearest name is \"" + near + "\""});
}

const Metadata& Weights::metadata() const {
  static const Metadata none;
  const auto found =
      std::ranges::find_if(files_, [](const auto& f) { return !f.metadata().empty(); });
  return found == files_.end() ? none : found->metadata();
}

void Weights::check_sizes() const {
  for (const TensorFile& file : files_) file.check_size();
}

void remove_other_weights(const fs::path& directory, std::string_view kept) {
  for (const char* name : kWeightFiles) {
    std::error_code code;
    if (name != kept) fs::remove(directory / name, code);
  }
}

Weights open_weights(const fs::path& path) {
  std::error_code code;
  std::vector<TensorFile> files;
  if (!fs::is_directory(path, code)) {
    files.push_back(open_tensor_file(path));
    return Weights(std::move(files));
  }
  const auto name = std::ranges::find_if(
      kWeightFiles, [&](const char* each) { return fs::exists(path / each, code); });
  if (name == std::end(kWeightFiles)) {
    throw Error(ErrorKind::kNotFound,
                {.what = "the folder holds no weights",
                 .where = path.string(),
                 .why = "neither model.safetensors, consolidated.safetensors nor pytorch_model.bin "
                        "is there, nor an index of shards"});
  }
  if (std::string_view(*name).ends_with(".json")) return Weights(open_shards(path / *name));
  files.push_back(open_tensor_file(path / *name));
  return Weights(std::move(files));
}

void write_weights(const fs::path& directory, std::vector<PendingTensor> tensors,
                   const Metadata& metadata, int64_t max_shard_bytes) {
  std::vector<std::vector<PendingTensor>> shards(1);
  int64_t total = 0;
  int64_t in_shard = 0;
  for (auto& tensor : tensors) {
    const int64_t bytes = tensor.size();
    if (!shards.back().empty() && in_shard + bytes > max_shard_bytes) {
      shards.emplace_back();
      in_shard = 0;
    }
    shards.back().push_back(std::move(tensor));
    in_shard += bytes;
    total += bytes;
  }
  if (shards.size() == 1) {
    stream_safetensors(directory / kSingleFile, std::move(shards.front()), metadata);
    remove_other_weights(directory, kSingleFile);
    return;
  }
  Json map = Json::object();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i + 1, shards.size());
    for (const auto& tensor : shards[i]) map[tensor.name] = name;
    stream_safetensors(directory / name, std::move(shards[i]), metadata);
  }
  write_json_file(directory / kIndexFile,
                  {{"metadata", {{"total_size", total}}}, {"weight_map", map}});
  remove_other_weights(directory, kIndexFile);
}

}  // namespace adder::io
