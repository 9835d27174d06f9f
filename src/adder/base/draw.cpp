#include "adder/base/draw.h"

#include <algorithm>

namespace adder {
namespace {

constexpr int64_t kLanes = 16;

/// kLanes elements from `first` on, side by side.
__attribute__((always_inline)) inline void draw_lanes(const Draw& what, uint64_t first,
                                                      float* out) {
  uint64_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
  for (int64_t i = 0; i < kLanes; ++i) {
    const uint64_t element = first + static_cast<uint64_t>(i);
    c0[i] = element & 0xFFFFFFFFu;
    c1[i] = element >> 32;
    c2[i] = what.stream & 0xFFFFFFFFu;
    c3[i] = what.stream >> 32;
  }
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(what.seed),
                                       static_cast<uint32_t>(what.seed >> 32)};
  for (uint32_t round = 0; round < 10; ++round) {
    for (int64_t i = 0; i < kLanes; ++i) philox_round(round, key, c0[i], c1[i], c2[i], c3[i]);
  }
  Units units[kLanes];
  for (int64_t i = 0; i < kLanes; ++i) {
    units[i].first = unit(static_cast<uint32_t>(c0[i]), static_cast<uint32_t>(c1[i]));
    units[i].second = unit(static_cast<uint32_t>(c2[i]), static_cast<uint32_t>(c3[i]));
  }
  if (what.kind == Draw::Kind::kUniform) {
    for (int64_t i = 0; i < kLanes; ++i)
      out[i] = element_of({Draw::Kind::kUniform, what.a, what.b}, units[i]);
  } else {
    for (int64_t i = 0; i < kLanes; ++i)
      out[i] = element_of({Draw::Kind::kNormal, what.a}, units[i]);
  }
}

}  // namespace

__attribute__((target_clones("default", "avx2", "arch=x86-64-v4"))) void draw(const Draw& what,
                                                                              int64_t begin,
                                                                              int64_t end,
                                                                              float* out) {
  for (int64_t i = begin; i < end; i += kLanes) {
    float lanes[kLanes];
    draw_lanes(what, static_cast<uint64_t>(i), lanes);
    std::copy_n(lanes, std::min(kLanes, end - i), out + (i - begin));
  }
}

}  // namespace adder
