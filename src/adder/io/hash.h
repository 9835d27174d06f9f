// XXH3-128 as 32 hex digits, the form that `xxh128sum` prints. For integrity, not against an
// adversary.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace adder::io {

/// A hash fed piece by piece.
class Hash128 {
 public:
  Hash128();
  ~Hash128();
  Hash128(const Hash128&) = delete;
  Hash128& operator=(const Hash128&) = delete;

  void add(std::span<const std::byte> bytes);
  std::string hex() const;  // of everything added so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string hash128_hex(std::span<const std::byte> bytes);

/// Of a regular file, read in pieces; throws kNotFound or kIo.
std::string hash128_file_hex(const std::filesystem::path& path);

}  // namespace adder::io
