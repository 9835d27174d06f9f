// One token of each of several sequences: their rows are shared out among the threads, or, when
// there are fewer rows than threads, done one after another with all threads each. Either way gives
// the same bits.
#pragma once

#include <cstdint>

#include "adder/base/parallel.h"

namespace adder::infer {

/// step_row(row, threads) for every row below `count`.
template <typename StepRow>
void for_rows(int64_t count, const Parallel& parallel, const StepRow& step_row) {
  if (count < parallel.threads()) {
    for (int64_t row = 0; row < count; ++row) step_row(row, parallel);
    return;
  }
  const auto body = [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) step_row(row, Serial());
  };
  parallel.run(count, 1, body);
}

}  // namespace adder::infer
