#include <algorithm>
#include <set>

#include "adder/base/checked.h"
#include "adder/io/byte_cursor.h"
#include "adder/io/zip.h"
#include "adder/io/zip_layout.h"

namespace adder::io {
namespace {

using namespace zip;

constexpr int64_t kLongestComment = 65535;
constexpr int64_t kMaxDirectoryBytes = int64_t{64} << 20;
constexpr uint64_t kFlags = kSizesFollow | kNamesAreUtf8;
constexpr const char* kDamaged = "an incomplete download or a corrupt file?";
constexpr const char* kAgain = "load it with torch and torch.save it again";

class Reader {
 public:
  explicit Reader(const MappedFile& file) : file_(file), where_(file.path().string()) {}

  std::vector<ZipEntry> read();

 private:
  struct Directory {
    int64_t offset = 0, size = 0;
    uint64_t entries = 0;
  };
  /// An entry with where its local header begins, which comes before its bytes.
  struct Placed {
    ZipEntry entry;
    int64_t header = 0;
    uint64_t flags = 0;
  };

  [[noreturn]] void refuse(const std::string& why, ErrorKind kind = ErrorKind::kFormat) const {
    throw Error(kind, {.what = "this is not a zip archive that Adder reads",
                       .where = where_,
                       .why = why,
                       .next = kind == ErrorKind::kUnsupported ? kAgain : kDamaged});
  }
  void require(bool fine, const std::string& why) const {
    if (!fine) refuse(why);
  }
  /// `size` bytes at `offset`, which lie in the file.
  std::string bytes(int64_t offset, int64_t size) const {
    require(offset >= 0 && size >= 0 && offset <= file_.size() && size <= file_.size() - offset,
            "a header lies outside the file");
    std::string text(static_cast<std::size_t>(size), '\0');
    file_.read_at(offset, std::as_writable_bytes(std::span(text)));
    return text;
  }
  ByteCursor cursor(std::string_view text) const { return {text, "the zip directory", where_}; }

  Directory find_directory() const;
  int64_t find_end() const;
  Directory read_end64(int64_t end) const;
  Placed read_entry(ByteCursor& directory) const;
  void read_extra64(std::string_view extra, uint64_t& size, uint64_t& stored,
                    uint64_t& header) const;
  void place(Placed& placed) const;

  const MappedFile& file_;
  std::string where_;
};

// The end record stands at the end, but for a comment whose length it gives.
int64_t Reader::find_end() const {
  require(file_.size() >= kEndBytes, "it is too short");
  const int64_t tail_bytes = std::min(file_.size(), kEndBytes + kLongestComment);
  const int64_t begin = file_.size() - tail_bytes;
  const std::string tail = bytes(begin, tail_bytes);
  constexpr std::string_view kMagic = "PK\x05\x06";
  auto at = static_cast<std::size_t>(tail_bytes - kEndBytes);
  for (at = tail.rfind(kMagic, at); at != std::string::npos; at = tail.rfind(kMagic, at - 1)) {
    ByteCursor end = cursor(std::string_view(tail).substr(at));
    end.take(20);
    if (end.integer(2) == end.left()) return begin + static_cast<int64_t>(at);
    if (at == 0) break;
  }
  refuse("it has no directory at its end");
}

Reader::Directory Reader::read_end64(int64_t end) const {
  const int64_t locator_at = end - kLocatorBytes;
  const std::string locator_text = bytes(locator_at, kLocatorBytes);
  ByteCursor locator = cursor(locator_text);
  require(locator.integer(4) == kEnd64Locator, "its zip64 record is missing");
  locator.take(4);
  const auto offset = checked_cast<int64_t>(locator.integer(8), "zip64 offset");
  require(locator_at >= kEnd64Bytes && offset == locator_at - kEnd64Bytes,
          "its zip64 record is not where the locator says");
  const std::string text = bytes(offset, kEnd64Bytes);
  ByteCursor record = cursor(text);
  require(record.integer(4) == kEnd64, "its zip64 record is malformed");
  record.take(12);
  const uint64_t disk = record.integer(4), directory_disk = record.integer(4);
  const uint64_t here = record.integer(8), entries = record.integer(8);
  if (disk != 0 || directory_disk != 0 || here != entries) {
    refuse("it is one part of several", ErrorKind::kUnsupported);
  }
  Directory directory{.entries = entries};
  directory.size = checked_cast<int64_t>(record.integer(8), "zip directory");
  directory.offset = checked_cast<int64_t>(record.integer(8), "zip directory");
  require(checked_add(directory.offset, directory.size, "zip directory") == offset,
          "its directory does not end where its zip64 record begins");
  return directory;
}

Reader::Directory Reader::find_directory() const {
  const int64_t at = find_end();
  const std::string text = bytes(at, kEndBytes);
  ByteCursor end = cursor(text);
  end.take(4);
  const uint64_t disk = end.integer(2), directory_disk = end.integer(2);
  const uint64_t here = end.integer(2), entries = end.integer(2);
  const uint64_t size = end.integer(4), offset = end.integer(4);
  const bool in64 = entries == kCountIn64 || size == kIn64 || offset == kIn64;
  if (in64) return read_end64(at);
  if (disk != 0 || directory_disk != 0 || here != entries) {
    refuse("it is one part of several", ErrorKind::kUnsupported);
  }
  const int64_t directory_end = static_cast<int64_t>(offset) + static_cast<int64_t>(size);
  // torch writes a zip64 record also where none is needed.
  const int64_t room64 = kEnd64Bytes + kLocatorBytes;
  require(directory_end == at || (at - room64 == directory_end &&
                                  cursor(bytes(directory_end, 4)).integer(4) == kEnd64),
          "its directory does not end where its end record begins");
  return {static_cast<int64_t>(offset), static_cast<int64_t>(size), entries};
}

void Reader::read_extra64(std::string_view extra, uint64_t& size, uint64_t& stored,
                          uint64_t& header) const {
  ByteCursor fields = cursor(extra);
  while (fields.left() >= 4) {
    const uint64_t id = fields.integer(2), length = fields.integer(2);
    ByteCursor field = cursor(fields.take(length));
    if (id != kExtra64) continue;
    for (uint64_t* value : {&size, &stored, &header}) {
      if (*value == kIn64) *value = field.integer(8);
    }
    return;
  }
}

Reader::Placed Reader::read_entry(ByteCursor& directory) const {
  require(directory.integer(4) == kCentralHeader, "its directory is malformed");
  directory.take(4);
  const uint64_t flags = directory.integer(2), method = directory.integer(2);
  directory.take(4);
  Placed placed;
  placed.entry.crc = static_cast<uint32_t>(directory.integer(4));
  uint64_t stored = directory.integer(4), size = directory.integer(4);
  const uint64_t name = directory.integer(2), extra = directory.integer(2);
  const uint64_t comment = directory.integer(2);
  directory.take(8);
  uint64_t header = directory.integer(4);
  placed.entry.name = directory.take(name);
  read_extra64(directory.take(extra), size, stored, header);
  directory.take(comment);
  if ((flags & ~kFlags) != 0 || method != 0 || size != stored) {
    refuse("entry '" + placed.entry.name + "' is compressed or encrypted", ErrorKind::kUnsupported);
  }
  placed.flags = flags;
  placed.entry.size = checked_cast<int64_t>(size, "zip entry");
  placed.header = checked_cast<int64_t>(header, "zip entry");
  return placed;
}

// The name and the extra field of the local header stand between it and the bytes.
void Reader::place(Placed& placed) const {
  const std::string& name = placed.entry.name;
  const std::string text = bytes(placed.header, kLocalBytes);
  ByteCursor local = cursor(text);
  require(local.integer(4) == kLocalHeader, "entry '" + name + "' has no header");
  local.take(2);
  const uint64_t flags = local.integer(2), method = local.integer(2);
  local.take(4);
  const uint64_t crc = local.integer(4);
  uint64_t stored = local.integer(4), size = local.integer(4), no_header = 0;
  const auto name_bytes = static_cast<int64_t>(local.integer(2));
  const auto extra_bytes = static_cast<int64_t>(local.integer(2));
  const int64_t extra = placed.header + kLocalBytes + name_bytes;
  read_extra64(bytes(extra, extra_bytes), size, stored, no_header);
  const auto expected = static_cast<uint64_t>(placed.entry.size);
  const bool sizes_agree = (flags & kSizesFollow) != 0 ||
                           (crc == placed.entry.crc && size == expected && stored == expected);
  require(flags == placed.flags && method == 0 && sizes_agree &&
              bytes(placed.header + kLocalBytes, name_bytes) == name,
          "entry '" + name + "' and its header do not agree");
  placed.entry.offset = extra + extra_bytes;
}

std::vector<ZipEntry> Reader::read() {
  const Directory found = find_directory();
  require(found.size <= kMaxDirectoryBytes, "its directory is too large");
  const std::string text = bytes(found.offset, found.size);
  ByteCursor directory = cursor(text);
  std::vector<Placed> placed;
  while (directory.left() > 0) {
    placed.push_back(read_entry(directory));
    place(placed.back());
  }
  require(placed.size() == found.entries, "its directory does not hold as many entries as it says");
  std::ranges::sort(placed, {}, &Placed::header);
  std::vector<ZipEntry> entries;
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < placed.size(); ++i) {
    const ZipEntry& entry = placed[i].entry;
    const int64_t limit = i + 1 < placed.size() ? placed[i + 1].header : found.offset;
    require(entry.offset <= limit && entry.size <= limit - entry.offset,
            "entry '" + entry.name + "' reaches into what follows it");
    require(names.insert(entry.name).second, "entry '" + entry.name + "' stands twice");
  }
  for (Placed& each : placed) entries.push_back(std::move(each.entry));
  return entries;
}

}  // namespace

std::vector<ZipEntry> read_zip_directory(const MappedFile& file) {
  return Reader(file).read();
}

}  // namespace adder::io
