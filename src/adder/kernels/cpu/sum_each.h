// Four sums across lanes at once: how dot products of contiguous rows end.
#pragma once

#include "adder/kernels/cpu/simd.h"

namespace adder::kernels::ADDER_ISA {

/// sum(v) of four vectors that fold_add has folded, with the same order of additions.
ADDER_INLINE vf4 sum_each(vf4 a, vf4 b, vf4 c, vf4 d) {
  const vf4 ab02 = __builtin_shufflevector(a, b, 0, 2, 4, 6);
  const vf4 ab13 = __builtin_shufflevector(a, b, 1, 3, 5, 7);
  const vf4 cd02 = __builtin_shufflevector(c, d, 0, 2, 4, 6);
  const vf4 cd13 = __builtin_shufflevector(c, d, 1, 3, 5, 7);
  const vf4 first = __builtin_shufflevector(ab02, cd02, 0, 2, 4, 6);
  const vf4 third = __builtin_shufflevector(ab02, cd02, 1, 3, 5, 7);
  const vf4 second = __builtin_shufflevector(ab13, cd13, 0, 2, 4, 6);
  const vf4 fourth = __builtin_shufflevector(ab13, cd13, 1, 3, 5, 7);
  return (first + third) + (second + fourth);
}

}  // namespace adder::kernels::ADDER_ISA
