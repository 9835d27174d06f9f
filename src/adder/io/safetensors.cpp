#include "adder/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <unordered_map>
#include <utility>

#include "adder/base/checked.h"
#include "adder/base/error.h"
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

void check_name(const std::string& name, std::size_t dimensions, const std::string& where) {
  if (name.empty() || name.size() > kMaxNameBytes || name == "__metadata__" ||
      name.find('\0') != std::string::npos) {
    throw Error(ErrorKind::kFormat, {.what = "this name cannot stand in a safetensors file: \"" +
                                             name.substr(0, 100) + "\"",
                                     .where = where});
  }
  if (dimensions > kMaxDimensions) {
    throw Error(ErrorKind::kShape,
                {.what = "a tensor has more than " + std::to_string(kMaxDimensions) + " dimensions",
                 .where = where + ", tensor '" + name + "'"});
  }
}

std::span<const std::byte> bytes_of(const PendingTensor& tensor, const std::string& where) {
  const auto bytes = tensor.bytes();
  if (tensor.size() != static_cast<int64_t>(bytes.size())) {
    throw Error(ErrorKind::kShape, {.what = "a tensor's bytes do not fit its shape",
                                    .where = where + ", tensor '" + tensor.name + "'",
                                    .why = "dtype and shape take " + std::to_string(tensor.size()) +
                                           ", " + std::to_string(bytes.size()) + " are given"});
  }
  return bytes;
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile result{MappedFile(path)};
  int64_t data_offset = 0;
  Header header = read_header(result.file_, data_offset);
  result.metadata_ = std::move(header.metadata);
  for (auto& entry : header.entries) {
    result.add(std::move(entry.name), entry.dtype, std::move(entry.shape),
               data_offset + entry.begin, entry.end - entry.begin);
  }
  result.index_names();
  return result;
}

void write_safetensors(const std::filesystem::path& path, const std::vector<TensorInfo>& tensors,
                       const Metadata& metadata) {
  stream_safetensors(path, pending(tensors), metadata);
}

void stream_safetensors(const std::filesystem::path& path, std::vector<PendingTensor> tensors,
                        const Metadata& metadata) {
  const std::string where = path.string();
  std::ranges::sort(tensors, {}, [](const PendingTensor& t) {
    return std::pair<int64_t, std::string_view>(-size_of(t.dtype), t.name);
  });
  Header header{.metadata = metadata};
  std::unordered_map<std::string_view, int> seen;
  int64_t end = 0;
  for (const auto& tensor : tensors) {
    check_name(tensor.name, tensor.shape.size(), where);
    if (seen[tensor.name]++ > 0) {
      throw Error(ErrorKind::kFormat, {.what = "two tensors have one name",
                                       .where = where + ", tensor '" + tensor.name + "'"});
    }
    const int64_t begin = end;
    end = checked_add(end, tensor.size(), "all tensors");
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
  for (const auto& tensor : tensors) file.write(bytes_of(tensor, where));
  file.commit();
}

}  // namespace adder::io
