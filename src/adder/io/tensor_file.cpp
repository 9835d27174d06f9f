#include "adder/io/tensor_file.h"

#include <algorithm>
#include <cstring>

#include "adder/base/checked.h"
#include "adder/base/error.h"
#include "adder/base/options.h"
#include "adder/io/safetensors.h"
#include "adder/io/torch_file.h"

namespace adder::io {

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
  if (bytes > 0 && offset % size_of(dtype) != 0) {
    file_.read_at(offset, add_copy(std::move(name), dtype, std::move(shape), bytes));
    return;
  }
  offsets_.push_back(offset);
  tensors_.push_back(
      {std::move(name), dtype, std::move(shape),
       file_.bytes().subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(bytes))});
}

std::span<std::byte> TensorFile::add_copy(std::string name, DType dtype, std::vector<int64_t> shape,
                                          int64_t bytes) {
  const auto size = static_cast<std::size_t>(bytes);
  const auto& copy = copies_.emplace_back(std::make_unique<double[]>((size + 7) / 8));
  const std::span room(reinterpret_cast<std::byte*>(copy.get()), size);
  offsets_.push_back(-1);
  tensors_.push_back({std::move(name), dtype, std::move(shape), room});
  return room;
}

void TensorFile::index_names() {
  for (std::size_t i = 0; i < tensors_.size(); ++i) by_name_.emplace(tensors_[i].name, i);
}

const TensorInfo* TensorFile::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

const TensorInfo& TensorFile::tensor(std::string_view name) const {
  const TensorInfo* found = find(name);
  if (found == nullptr) {
    std::vector<std::string> names;
    for (const auto& tensor : tensors_) names.push_back(tensor.name);
    const auto near = nearest(name, names);
    throw Error(ErrorKind::kNotFound,
                {.what = "there is no tensor \"" + std::string(name) + "\"",
                 .where = path().string(),
                 .next = near.empty() ? "" : "the nearest name is \"" + near + "\""});
  }
  file_.check_size();
  return *found;
}

void TensorFile::read(std::string_view name, std::span<std::byte> out) const {
  const TensorInfo& found = tensor(name);
  if (out.size() != found.bytes.size()) {
    throw Error(ErrorKind::kShape,
                {.what = "the room given for a tensor does not fit it",
                 .where = path().string() + ", tensor '" + found.name + "'",
                 .why = std::to_string(found.bytes.size()) + " bytes stand in the file, " +
                        std::to_string(out.size()) + " are asked for"});
  }
  const int64_t offset = offsets_[static_cast<std::size_t>(&found - tensors_.data())];
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
