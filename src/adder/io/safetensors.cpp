#include "adder/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "adder/base/checked.h"
#include "adder/base/error.h"
#include "adder/base/options.h"
#include "adder/io/safetensors_header.h"

namespace adder::io {
namespace {

static_assert(std::endian::native == std::endian::little,
              "tensors are handed out as they stand in the file");

constexpr int64_t kLengthBytes = 8;

// Reads (not through the map: the file may be cut short by another process) and checks the header.
Header read_header(const MappedFile& file, int64_t& data_offset) {
  const std::string where = file.path().string();
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorKind::kFormat, {.what = "this is not a safetensors file",
                                     .where = where,
                                     .why = why,
                                     .next = "an incomplete download or a corrupt file?"});
  };
  if (file.size() < kLengthBytes) refuse("it has less than 8 bytes");
  uint64_t claimed = 0;
  file.read_at(0, std::as_writable_bytes(std::span(&claimed, 1)));
  if (claimed > uint64_t{kMaxHeaderBytes})
    refuse("its header claims " + std::to_string(claimed) + " bytes");
  const auto length = static_cast<int64_t>(claimed);
  if (length < 2 || length > file.size() - kLengthBytes) {
    refuse("its header claims " + std::to_string(length) + " bytes, the file has " +
           std::to_string(file.size()));
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  file.read_at(kLengthBytes, std::as_writable_bytes(std::span(text)));
  data_offset = kLengthBytes + length;
  return parse_safetensors_header(text, file.size() - data_offset, where);
}

void check_tensor(const TensorInfo& tensor, const std::string& where) {
  const auto& name = tensor.name;
  if (name.empty() || name.size() > kMaxNameBytes || name == "__metadata__" ||
      name.find('\0') != std::string::npos) {
    throw Error(ErrorKind::kFormat, {.what = "this name cannot stand in a safetensors file: \"" +
                                             name.substr(0, 100) + "\"",
                                     .where = where});
  }
  const std::string what = "tensor '" + name + "'";
  const int64_t bytes = checked_mul(checked_product(tensor.shape, what, ErrorKind::kShape),
                                    size_of(tensor.dtype), what, ErrorKind::kShape);
  if (tensor.shape.size() > kMaxDimensions || bytes != static_cast<int64_t>(tensor.bytes.size())) {
    throw Error(ErrorKind::kShape, {.what = "a tensor's bytes do not fit its shape",
                                    .where = where + ", " + what,
                                    .why = "dtype and shape take " + std::to_string(bytes) + ", " +
                                           std::to_string(tensor.bytes.size()) + " are given"});
  }
}

}  // namespace

int64_t TensorInfo::elements() const {
  return checked_product(shape, name, ErrorKind::kShape);
}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile result{MappedFile(path)};
  int64_t data_offset = 0;
  Header header = read_header(result.file_, data_offset);
  result.metadata_ = std::move(header.metadata);
  result.tensors_.reserve(header.entries.size());
  for (auto& entry : header.entries) {
    const auto size = static_cast<std::size_t>(entry.end - entry.begin);
    const int64_t offset = data_offset + entry.begin;
    auto bytes = result.file_.bytes().subspan(static_cast<std::size_t>(offset), size);
    if (size > 0 && offset % size_of(entry.dtype) != 0) {
      auto& copy = result.copies_.emplace_back(std::make_unique<double[]>((size + 7) / 8));
      const auto target = std::span(reinterpret_cast<std::byte*>(copy.get()), size);
      result.file_.read_at(offset, target);
      bytes = target;
    }
    result.offsets_.push_back(offset);
    result.tensors_.push_back({std::move(entry.name), entry.dtype, std::move(entry.shape), bytes});
  }
  for (std::size_t i = 0; i < result.tensors_.size(); ++i) {
    result.by_name_.emplace(result.tensors_[i].name, i);
  }
  return result;
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

const TensorInfo& SafetensorsFile::tensor(std::string_view name) const {
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

void SafetensorsFile::read(std::string_view name, std::span<std::byte> out) const {
  const TensorInfo& found = tensor(name);
  if (out.size() != found.bytes.size()) {
    throw Error(ErrorKind::kShape,
                {.what = "the room given for a tensor does not fit it",
                 .where = path().string() + ", tensor '" + found.name + "'",
                 .why = std::to_string(found.bytes.size()) + " bytes stand in the file, " +
                        std::to_string(out.size()) + " are asked for"});
  }
  file_.read_at(offsets_[static_cast<std::size_t>(&found - tensors_.data())], out);
}

void write_safetensors(const std::filesystem::path& path, std::vector<TensorInfo> tensors,
                       const Metadata& metadata) {
  const std::string where = path.string();
  std::ranges::sort(tensors, {}, [](const TensorInfo& t) {
    return std::pair<int64_t, std::string_view>(-size_of(t.dtype), t.name);
  });
  Header header{.metadata = metadata};
  std::unordered_map<std::string_view, int> seen;
  int64_t end = 0;
  for (const auto& tensor : tensors) {
    check_tensor(tensor, where);
    if (seen[tensor.name]++ > 0) {
      throw Error(ErrorKind::kFormat, {.what = "two tensors have one name",
                                       .where = where + ", tensor '" + tensor.name + "'"});
    }
    const int64_t begin = end;
    end = checked_add(end, static_cast<int64_t>(tensor.bytes.size()), "all tensors");
    header.entries.push_back({tensor.name, tensor.dtype, tensor.shape, begin, end});
  }
  const std::string text = format_safetensors_header(header, where);
  parse_safetensors_header(text, end, where);  // what the reader would refuse is not written
  const uint64_t length = text.size();
  if (length > uint64_t{kMaxHeaderBytes}) {
    throw Error(ErrorKind::kFormat,
                {.what = "the safetensors header is too large", .where = where});
  }
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(as_bytes(text));
  for (const auto& tensor : tensors) file.write(tensor.bytes);
  file.commit();
}

}  // namespace adder::io
