// Remembers the ids of short words. Bounded: a word takes the place of the one that was in its
// slot.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace adder::text {

class WordCache {
 public:
  static constexpr size_t kMaxWord = 15;  // bytes
  static constexpr size_t kMaxIds = 4;

  WordCache() : slots_(kSlots) {}

  /// A place for a word of 1 to kMaxWord bytes, which may hold it or another.
  struct Slot {
    std::array<uint64_t, 2> key{};  // the bytes, zeros, the length in the last byte; zero: empty
    std::array<int32_t, kMaxIds> ids{};  // ends at the first negative one
  };
  static std::array<uint64_t, 2> key_of(std::string_view word) {
    std::array<uint64_t, 2> key{};
    std::memcpy(key.data(), word.data(), word.size());
    key[1] |= uint64_t{word.size()} << 56;
    return key;
  }
  Slot& slot_of(const std::array<uint64_t, 2>& key) {
    const uint64_t mixed = (key[0] ^ std::rotl(key[1], 23)) * 0x9E3779B97F4A7C15u;
    return slots_[static_cast<size_t>((mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9u >> kShift)];
  }
  static void put(Slot& slot, const std::array<uint64_t, 2>& key, std::span<const int32_t> ids) {
    if (ids.size() > kMaxIds) return;
    slot.key = key;
    slot.ids.fill(-1);
    std::copy(ids.begin(), ids.end(), slot.ids.begin());
  }
  static void append(const Slot& slot, std::vector<int32_t>& out) {
    for (const int32_t id : slot.ids) {
      if (id < 0) break;
      out.push_back(id);
    }
  }

 private:
  static constexpr int kBits = 16;
  static constexpr int kShift = 64 - kBits;
  static constexpr size_t kSlots = size_t{1} << kBits;  // 2 MB

  std::vector<Slot> slots_;
};

}  // namespace adder::text
