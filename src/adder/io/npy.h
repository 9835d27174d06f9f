// NumPy's .npy files, versions 1 and 2 (numpy.lib.format): little endian, C order. Object arrays
// (pickles), Fortran order, big endian and structured types are refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "adder/base/dtype.h"

namespace adder::io {

struct NpyArray {
  DType dtype = DType::f32;
  std::vector<int64_t> shape;    // empty: a scalar
  std::vector<std::byte> bytes;  // aligned for every dtype

  int64_t elements() const;
};

/// What stands before the data; `offset` is where the data begins.
struct NpyHeader {
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  int64_t offset = 0;
};

/// Reads the header of `file`, which may be a map of a larger one, and checks that exactly the data
/// that it promises follows. `where` begins every error. Throws kFormat, or kUnsupported for a type
/// not held.
NpyHeader parse_npy_header(std::span<const std::byte> file, const std::string& where);

NpyArray parse_npy(std::span<const std::byte> file, const std::string& where);
NpyArray read_npy(const std::filesystem::path& path);

/// Version 1, atomically. Throws kShape when the bytes do not fit, kUnsupported for bf16.
void write_npy(const std::filesystem::path& path, const NpyArray& array);
void write_npy(const std::filesystem::path& path, DType dtype, std::span<const int64_t> shape,
               std::span<const std::byte> bytes);

}  // namespace adder::io
