#include "adder/io/hash.h"

#include <xxhash.h>

#include <algorithm>
#include <new>
#include <vector>

#include "adder/base/error.h"
#include "adder/io/descriptor.h"

namespace adder::io {
namespace {

std::string to_hex(XXH128_hash_t hash) {
  constexpr char kDigits[] = "0123456789abcdef";
  XXH128_canonical_t canonical;  // big endian, as it is printed
  XXH128_canonicalFromHash(&canonical, hash);
  std::string hex;
  for (const unsigned char byte : canonical.digest) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

struct FreeState {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

}  // namespace

struct Hash128::State {
  std::unique_ptr<XXH3_state_t, FreeState> hash{XXH3_createState()};
};

Hash128::Hash128() : state_(std::make_unique<State>()) {
  if (!state_->hash) throw std::bad_alloc();
  XXH3_128bits_reset(state_->hash.get());
}

Hash128::~Hash128() = default;

void Hash128::add(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_128bits_update(state_->hash.get(), bytes.data(), bytes.size());
}

std::string Hash128::hex() const {
  return to_hex(XXH3_128bits_digest(state_->hash.get()));
}

std::string hash128_hex(std::span<const std::byte> bytes) {
  return to_hex(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string hash128_file_hex(const std::filesystem::path& path) {
  constexpr int64_t kPiece = 1 << 20;
  const Descriptor file = Descriptor::open_regular(path);
  const int64_t size = file.size();
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(size, kPiece)));
  Hash128 hash;
  for (int64_t offset = 0; offset < size; offset += kPiece) {
    const auto piece =
        std::span(buffer).first(static_cast<std::size_t>(std::min(kPiece, size - offset)));
    file.read_at(offset, piece);
    hash.add(piece);
  }
  return hash.hex();
}

}  // namespace adder::io
