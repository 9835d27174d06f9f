// The directory of a zip archive whose entries are stored, not compressed, and writing such an
// archive: what a torch file is. After PKWARE's APPNOTE 6.3, with zip64. Names of entries are names
// only: nothing is ever unpacked to a path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adder/io/file.h"

namespace adder::io {

struct ZipEntry {
  std::string name;
  int64_t offset = 0;  // of its bytes in the file
  int64_t size = 0;
  uint32_t crc = 0;
};

/// The entries in the order of their bytes; each lies in the file, none overlaps another, no name
/// stands twice, and the two headers of each agree. Throws kFormat, and kUnsupported for entries
/// that are compressed or encrypted and for archives of several parts.
std::vector<ZipEntry> read_zip_directory(const MappedFile& file);

/// CRC-32 as zip has it.
uint32_t crc32_of(std::span<const std::byte> bytes);

/// Writes an archive atomically, entry after entry. An entry's bytes begin at a multiple of 64, as
/// in torch's own files.
class ZipWriter {
 public:
  explicit ZipWriter(const std::filesystem::path& path) : file_(path) {}
  void add(const std::string& name, std::span<const std::byte> bytes);
  void commit();

 private:
  struct Written {
    std::string name;
    uint64_t header_offset, size;
    uint32_t crc;
  };
  void write(std::string_view bytes);

  AtomicFile file_;
  uint64_t position_ = 0;
  std::vector<Written> entries_;
};

}  // namespace adder::io
