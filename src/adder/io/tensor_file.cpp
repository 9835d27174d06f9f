#include "adder/io/tensor_file.h"

#include <algorithm>

#include "adder/base/checked.h"
#include "adder/base/error.h"
#include "adder/base/options.h"
#include "adder/io/safetensors.h"
#include "adder/io/torch_file.h"
#include "adder/io/zip.h"

namespace adder::io {
namespace {

std::span<std::byte> room_for(std::unique_ptr<double[]>& room, std::size_t size) {
  room = std::make_unique<double[]>((size + 7) / 8);
  return {reinterpret_cast<std::byte*>(room.get()), size};
}

}  // namespace

int64_t TensorInfo::elements() const {
  return checked_product(shape, name, ErrorKind::kShape);
}

int64_t PendingTensor::size() const {
  const std::string what = "tensor '" + name + "'";
  return checked_mul(checked_product(shape, what, ErrorKind::kShape), size_of(dtype), what,
                     ErrorKind::kShape);
}

std::vector<PendingTensor> pending(const std::vector<TensorInfo>& tensors) {
  std::vector<PendingTensor> list;
  for (const TensorInfo& tensor : tensors) {
    list.push_back(
        {tensor.name, tensor.dtype, tensor.shape, [bytes = tensor.bytes] { return bytes; }});
  }
  return list;
}

void TensorFile::add(std::string name, DType dtype, std::vector<int64_t> shape, int64_t offset,
                     int64_t bytes) {
  places_.push_back({offset});
  tensors_.push_back(
      {std::move(name), dtype, std::move(shape),
       file_.bytes().subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(bytes))});
}

std::span<std::byte> TensorFile::add_copy(std::string name, DType dtype, std::vector<int64_t> shape,
                                          int64_t bytes) {
  const auto size = static_cast<std::size_t>(bytes);
  const std::span room = room_for(copies_.emplace_back(), size);
  places_.push_back({-1});
  tensors_.push_back({std::move(name), dtype, std::move(shape), room});
  return room;
}

void TensorFile::index_names() {
  for (std::size_t i = 0; i < tensors_.size(); ++i) by_name_.emplace(tensors_[i].name, i);
}

std::size_t TensorFile::index_of(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& tensor : tensors_) names.push_back(tensor.name);
  const auto near = nearest(name, names);
  throw Error(ErrorKind::kNotFound,
              {.what = "there is no tensor \"" + std::string(name) + "\"",
               .where = path().string(),
               .next = near.empty() ? "" : "the nearest name is \"" + near + "\""});
}

const TensorInfo& TensorFile::aligned(std::size_t index) const {
  const TensorInfo& tensor = tensors_[index];
  const auto address = reinterpret_cast<uintptr_t>(tensor.bytes.data());
  if (tensor.bytes.empty() || address % static_cast<uintptr_t>(size_of(tensor.dtype)) == 0) {
    return tensor;
  }
  const auto [copy, is_new] = aligned_.try_emplace(index, tensor, Room());
  auto& [info, room] = copy->second;
  if (is_new) {
    const std::span to = room_for(room, tensor.bytes.size());
    file_.read_at(places_[index].offset, to);
    info.bytes = to;
  }
  return info;
}

const TensorInfo* TensorFile::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &aligned(found->second);
}

const TensorInfo& TensorFile::tensor(std::string_view name) const {
  const std::size_t index = index_of(name);
  file_.check_size();
  return aligned(index);
}

void TensorFile::verify(std::string_view name) const {
  const std::size_t index = index_of(name);
  file_.check_size();
  const Checked& part = places_[index].part;
  if (part.crc == 0 || verified_.contains(part)) return;
  const auto bytes = file_.bytes().subspan(static_cast<std::size_t>(part.offset),
                                           static_cast<std::size_t>(part.size));
  if (crc32_of(bytes) != part.crc) {
    throw Error(ErrorKind::kFormat,
                {.what = "the bytes of a tensor do not have their checksum",
                 .where = path().string() + ", tensor '" + tensors_[index].name + "'",
                 .why = "the file changed after it was written",
                 .next = "fetch the file again"});
  }
  verified_.insert(part);
}

void TensorFile::read(std::string_view name, std::span<std::byte> out) const {
  const std::size_t index = index_of(name);
  const TensorInfo& found = tensors_[index];
  file_.check_size();
  if (out.size() != found.bytes.size()) {
    throw Error(ErrorKind::kShape,
                {.what = "the room given for a tensor does not fit it",
                 .where = path().string() + ", tensor '" + found.name + "'",
                 .why = std::to_string(found.bytes.size()) + " bytes stand in the file, " +
                        std::to_string(out.size()) + " are asked for"});
  }
  const int64_t offset = places_[index].offset;
  if (offset >= 0) {
    file_.read_at(offset, out);
  } else {
    std::ranges::copy(found.bytes, out.begin());
  }
}

TensorFile open_tensor_file(const std::filesystem::path& path) {
  if (is_torch_file(path)) return TorchFile::open(path);
  return SafetensorsFile::open(path);
}

}  // namespace adder::io
