#include "adder/io/torch_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include "adder/base/checked.h"
#include "adder/base/error.h"
#include "adder/io/torch_pickle.h"
#include "adder/io/zip.h"

namespace adder::io {
namespace {

constexpr int64_t kMaxPickleBytes = int64_t{64} << 20;
constexpr std::string_view kPickle = "data.pkl";
constexpr std::string_view kZipMagic = "PK\x03\x04";
// Before 1.6: a pickle of the number 0x1950a86a20f9469cfc6c, then the version, then the tensors.
constexpr std::string_view kOldMagic = "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

std::string first_bytes(const MappedFile& file, std::size_t count) {
  std::string text(std::min(count, static_cast<std::size_t>(file.size())), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

bool is_old_torch_file(std::string_view begin) {
  return begin.starts_with(kOldMagic);
}

/// The archive inside the zip file: its entries without the name of the folder they stand in.
class Archive {
 public:
  explicit Archive(const MappedFile& file) : file_(file), where_(file.path().string()) {
    std::vector<ZipEntry> entries = read_zip_directory(file);
    const auto is_pickle = [](const ZipEntry& entry) {
      const std::size_t slash = entry.name.find('/');
      return slash != std::string::npos && entry.name.substr(slash + 1) == kPickle;
    };
    const auto pickle = std::ranges::find_if(entries, is_pickle);
    if (pickle == entries.end()) refuse("it holds no data.pkl");
    if (std::ranges::count_if(entries, is_pickle) > 1) refuse("it holds more than one data.pkl");
    const std::string folder = pickle->name.substr(0, pickle->name.size() - kPickle.size());
    for (ZipEntry& entry : entries) {
      if (!entry.name.starts_with(folder)) continue;
      const std::string name = entry.name.substr(folder.size());
      entries_.emplace(name, std::move(entry));
    }
  }

  [[noreturn]] void refuse(const std::string& why, ErrorKind kind = ErrorKind::kFormat) const {
    throw Error(kind, {.what = "this is not a torch file that Adder reads",
                       .where = where_,
                       .why = why,
                       .next = kind == ErrorKind::kUnsupported
                                   ? "load it with torch and torch.save it again, each tensor "
                                     "with .contiguous(), on a little-endian machine"
                                   : "an incomplete download or a corrupt file?"});
  }

  const ZipEntry* find(const std::string& name) const {
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : &found->second;
  }

  /// A small entry, with its checksum looked at; writers may leave that out, as 0.
  std::string text(const ZipEntry& entry) const {
    if (entry.size > kMaxPickleBytes) refuse("entry '" + entry.name + "' is too large");
    std::string bytes(static_cast<std::size_t>(entry.size), '\0');
    file_.read_at(entry.offset, std::as_writable_bytes(std::span(bytes)));
    if (entry.crc != 0 && entry.crc != crc32_of(as_bytes(bytes))) {
      refuse("entry '" + entry.name + "' does not have its checksum");
    }
    return bytes;
  }

  std::string pickle() const {
    const ZipEntry* order = find("byteorder");
    if (order != nullptr && text(*order) != "little") {
      refuse("its numbers are big endian", ErrorKind::kUnsupported);
    }
    return text(*find(std::string(kPickle)));
  }

 private:
  const MappedFile& file_;
  std::string where_;
  std::unordered_map<std::string, ZipEntry> entries_;
};

/// Elements from the first to the last that the view touches; 0 when it has none.
int64_t reach(const SavedTensor& tensor, const std::string& what) {
  int64_t last = 0;
  for (std::size_t d = 0; d < tensor.shape.size(); ++d) {
    if (tensor.shape[d] == 0) return 0;
    last = checked_add(last, checked_mul(tensor.shape[d] - 1, tensor.strides[d], what), what);
  }
  return checked_add(last, int64_t{1}, what);
}

bool row_major(const SavedTensor& tensor) {
  int64_t expected = 1;
  for (std::size_t d = tensor.shape.size(); d-- > 0;) {
    if (tensor.shape[d] != 1 && tensor.strides[d] != expected) return false;
    expected *= tensor.shape[d];
  }
  return true;
}

/// Copies the elements of a strided view, which starts at `from`, in row-major order.
void gather(const SavedTensor& view, std::span<const std::byte> from, std::span<std::byte> to) {
  const auto bytes = static_cast<std::size_t>(size_of(view.dtype));
  std::vector<int64_t> index(view.shape.size(), 0);
  int64_t element = 0;
  for (std::size_t done = 0; done < to.size(); done += bytes) {
    std::memcpy(to.data() + done, from.data() + static_cast<std::size_t>(element) * bytes, bytes);
    for (std::size_t d = index.size(); d-- > 0;) {
      element += view.strides[d];
      if (++index[d] < view.shape[d]) break;
      element -= index[d] * view.strides[d];
      index[d] = 0;
    }
  }
}

/// The entry of the tensor's storage, which all of the tensor lies in.
const ZipEntry& storage_of(const SavedTensor& tensor, const Archive& archive,
                           const std::string& what) {
  const ZipEntry* entry = archive.find("data/" + tensor.storage);
  if (entry == nullptr) archive.refuse(what + " is in a storage that the file does not hold");
  if (checked_mul(tensor.storage_elements, size_of(tensor.dtype), what) != entry->size) {
    archive.refuse("the storage of " + what + " has " + std::to_string(entry->size) +
                   " bytes, the pickle says " + std::to_string(tensor.storage_elements) +
                   " elements");
  }
  if (checked_add(tensor.offset, reach(tensor, what), what) > tensor.storage_elements) {
    archive.refuse(what + " reaches past its storage");
  }
  return *entry;
}

}  // namespace

bool is_torch_file(const std::filesystem::path& path) {
  const std::string begin = first_bytes(MappedFile(path), kOldMagic.size());
  return begin.starts_with(kZipMagic) || is_old_torch_file(begin);
}

TorchFile TorchFile::open(const std::filesystem::path& path) {
  TorchFile result{MappedFile(path)};
  const MappedFile& file = result.file_;
  if (is_old_torch_file(first_bytes(file, kOldMagic.size()))) {
    throw Error(ErrorKind::kUnsupported,
                {.what = "this torch file has the format of before torch 1.6",
                 .where = path.string(),
                 .next = "load and save it once with a newer torch"});
  }
  const Archive archive(file);
  int64_t room = file.size();  // for copies
  for (SavedTensor& tensor : parse_torch_pickle(archive.pickle(), path.string())) {
    const std::string what = "tensor '" + tensor.name + "'";
    const int64_t elements = checked_product(tensor.shape, what);
    const int64_t bytes = checked_mul(elements, size_of(tensor.dtype), what);
    const ZipEntry& storage = storage_of(tensor, archive, what);
    const int64_t offset = storage.offset + tensor.offset * size_of(tensor.dtype);
    if (elements == 0 || row_major(tensor)) {
      result.add(tensor.name, tensor.dtype, tensor.shape, offset, bytes);
    } else {
      if (bytes > room) archive.refuse(what + " repeats its elements", ErrorKind::kUnsupported);
      room -= bytes;
      const int64_t span = reach(tensor, what) * size_of(tensor.dtype);
      const auto from =
          file.bytes().subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(span));
      gather(tensor, from, result.add_copy(tensor.name, tensor.dtype, tensor.shape, bytes));
    }
    result.set_checksum({storage.offset, storage.size, storage.crc});
  }
  result.index_names();
  return result;
}

void stream_torch_file(const std::filesystem::path& path, const std::vector<PendingTensor>& tensors,
                       const std::map<std::string, std::string>& aliases) {
  std::vector<SavedTensor> saved;
  for (const PendingTensor& tensor : tensors) {
    SavedTensor next{.name = tensor.name,
                     .storage = std::to_string(saved.size()),
                     .dtype = tensor.dtype,
                     .storage_elements = tensor.size() / size_of(tensor.dtype),
                     .shape = tensor.shape,
                     .strides = std::vector<int64_t>(tensor.shape.size(), 1)};
    for (std::size_t d = tensor.shape.size(); d-- > 1;) {
      next.strides[d - 1] = next.strides[d] * tensor.shape[d];
    }
    saved.push_back(std::move(next));
  }
  for (const auto& [alias, name] : aliases) {
    const auto found = std::ranges::find(saved, name, &SavedTensor::name);
    if (found == saved.end()) {
      throw Error(ErrorKind::kInternal,
                  {.what = "an alias of a tensor that is not there: " + name});
    }
    SavedTensor again = *found;
    again.name = alias;
    saved.push_back(std::move(again));
  }
  const std::string pickle = format_torch_pickle(saved);
  parse_torch_pickle(pickle, path.string());  // what the reader would refuse is not written
  ZipWriter zip(path);
  zip.add("archive/data.pkl", as_bytes(pickle));
  zip.add("archive/byteorder", as_bytes("little"));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto bytes = tensors[i].bytes();
    if (static_cast<int64_t>(bytes.size()) != tensors[i].size()) {
      throw Error(ErrorKind::kShape,
                  {.what = "a tensor's bytes do not fit its shape",
                   .where = path.string() + ", tensor '" + tensors[i].name + "'"});
    }
    zip.add("archive/data/" + std::to_string(i), bytes);
  }
  zip.add("archive/version", as_bytes("3\n"));
  zip.commit();
}

}  // namespace adder::io
