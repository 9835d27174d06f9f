// How the Hopper forward cuts a sequence, so that all multiprocessors have work.
#pragma once

#include <cstdint>

namespace adder::kernels::cuda {

/// Either equal segments, whose entering states are found first (ssd_segments.h); or, prefix > 0,
/// two parts: one CTA takes the first `prefix` chunks, and another the rest, after it has passed
/// through the prefix for its state alone.
struct SequenceCut {
  int64_t segments, chunks;  // chunks of a segment; of all the sequence where there is a prefix
  int64_t prefix;            // chunks
};

/// Of `segments` equal segments or, prefix > 0, in two.
SequenceCut cut_sequence(int64_t chunks, int64_t segments, int64_t prefix);
/// What should take least time on the current device, of `ctas` CTAs to a segment, one on a
/// multiprocessor.
SequenceCut plan_sm90(int64_t chunks, int64_t ctas);

}  // namespace adder::kernels::cuda
