// Rows of any activation dtype seen as floats, and sums over rows whose order does not depend on
// the number of threads. Used by the kernels whose rows are short enough to stay in the first-level
// cache.
#pragma once

#include "adder/base/parallel.h"
#include "adder/kernels/cpu/simd.h"
#include "adder/kernels/scratch.h"
#include "adder/kernels/view.h"

namespace adder::kernels::ADDER_ISA {

/// The place of an element in memory, for the views of a known rank.
template <typename T>
ADDER_INLINE T* at(const View<2>& view, int64_t row) {
  return static_cast<T*>(view.data) + row * view.stride[0];
}

/// Row `row` of an f32 or bf16 view as floats: in place, or widened into `buffer`.
inline const float* read_row(const View<2>& view, int64_t row, float* buffer) {
  if (view.dtype == DType::f32) return at<const float>(view, row);
  const bf16* from = at<const bf16>(view, row);
  const int64_t width = view.size[1];
  for (int64_t i = 0; i < width; i += kLanes)
    store_up_to(buffer + i, load_up_to(from + i, width - i), width - i);
  return buffer;
}

/// Where to write the floats of a row that write_row then delivers; `buffer` when the view was not
/// given.
inline float* row_to_write(const View<2>& view, int64_t row, float* buffer) {
  return view.given() && view.dtype == DType::f32 ? at<float>(view, row) : buffer;
}

/// Rounds or copies `values` into the view; nothing to do when it was not given or holds them
/// already.
inline void write_row(const View<2>& view, int64_t row, const float* values) {
  if (!view.given()) return;
  const int64_t width = view.size[1];
  if (view.dtype == DType::bf16) {
    bf16* to = at<bf16>(view, row);
    for (int64_t i = 0; i < width; i += kLanes)
      store_up_to(to + i, load_up_to(values + i, width - i), width - i);
    return;
  }
  float* to = at<float>(view, row);
  for (int64_t i = 0; to != values && i < width; i += kLanes)
    store_up_to(to + i, load_up_to(values + i, width - i), width - i);
}

/// `count` rows of scratch of one width.
template <int count>
struct Buffers {
  explicit Buffers(int64_t width) : scratch(count * Scratch::bytes_for(width)) {
    for (float*& row : rows) row = scratch.floats(width);
  }
  float* operator[](int i) const { return rows[i]; }
  Scratch scratch;
  float* rows[count];
};

/// Rows whose sums are formed together; the blocks are then added in order (sum_blocks).
inline constexpr int64_t kRowBlock = 64;

/// Adds up rows in blocks of kRowBlock: add_row(row, partial, buffers) adds to `partial` (width
/// floats, zero before the block's first row); then to[i] = the sum of the partials in the order of
/// the blocks.
template <int buffer_count, typename AddRow>
void sum_over_rows(int64_t rows, int64_t width, const View<1>& to, const Parallel& parallel,
                   const AddRow& add_row) {
  const int64_t blocks = (rows + kRowBlock - 1) / kRowBlock;
  Scratch scratch(Scratch::bytes_for(blocks * width));
  float* partials = scratch.floats(blocks * width);
  parallel.run(blocks, 1, [&](int64_t begin, int64_t end) {
    const Buffers<buffer_count> buffers(width);
    for (int64_t block = begin; block < end; ++block) {
      float* partial = partials + block * width;
      for (int64_t i = 0; i < width; ++i) partial[i] = 0;
      for (int64_t row = block * kRowBlock; row < rows && row < (block + 1) * kRowBlock; ++row)
        add_row(row, partial, buffers);
    }
  });
  if (!to.given()) return;
  parallel.run(width, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float total = 0;
      for (int64_t block = 0; block < blocks; ++block) total += partials[block * width + i];
      static_cast<float*>(to.data)[i * to.stride[0]] = total;
    }
  });
}

}  // namespace adder::kernels::ADDER_ISA
