// The JSON header of a safetensors file, read and written by the letter of the format. A parser of
// its own: a general one lets through what must not pass here (a key twice, 1.0 for 1, any depth).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "adder/io/safetensors.h"

namespace adder::io {

inline constexpr int64_t kMaxHeaderBytes = 100'000'000;  // as in the reference implementation
inline constexpr int64_t kMaxMetadataBytes = 16 << 20;
inline constexpr std::size_t kMaxTensors = 500'000;
inline constexpr std::size_t kMaxNameBytes = 4096;
inline constexpr std::size_t kMaxDimensions = 8;

struct HeaderEntry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  int64_t begin = 0;  // in the data section
  int64_t end = 0;
};

struct Header {
  std::vector<HeaderEntry> entries;  // by (begin, end)
  Metadata metadata;
};

/// Parses `text` (the header with its padding) of a file whose data section has `data_bytes`. The
/// entries that come back tile the data section exactly. `where` names the file. Throws kFormat or
/// kUnsupported.
Header parse_safetensors_header(std::string_view text, int64_t data_bytes,
                                const std::string& where);

/// The header with its padding: its size is a multiple of eight.
std::string format_safetensors_header(const Header& header, const std::string& where);

}  // namespace adder::io
