// A sequence cut into segments of equal length that are worked on at the same time: the state that
// enters each of them is found first, from the inputs alone.
#pragma once

#include "adder/kernels/cuda_kernels.h"

namespace adder::kernels::cuda {

struct SegmentPlan {
  int64_t segments, chunks;  // chunks of 64 tokens to a segment
};
/// No more than `segments`, the last of them not empty.
SegmentPlan equal_segments(int64_t chunks, int64_t segments);
/// How to cut `chunks` chunks for which there are `ctas` CTAs, `ctas_an_sm` of which share a
/// multiprocessor: as the time that it should take on the current device says.
SegmentPlan plan_segments(int64_t chunks, int64_t ctas, int ctas_an_sm);

/// Of all segments but the last.
struct LocalStates {
  float* states;  // (segments - 1, batch, heads, head_dim, state), each from a zero start
  float* decays;  // (segments - 1, batch, heads): of the state that enters
};
/// Fills them by wgmma, compute capability 9.0.
bool takes_local_states_sm90(const SsdInputs& in, const SegmentPlan& plan);
DeviceAnswer local_states_sm90(const SsdInputs& in, const SegmentPlan& plan, const LocalStates& out,
                               const DeviceWork& work);

struct SegmentStates {
  DeviceAnswer answer;
  const float* entering;  // segments 1 ... : (segments - 1, batch, heads, head_dim, state) f32
};
/// The states, in workspace. For inputs that takes_mma() or takes_sm90().
SegmentStates segment_states(const SsdInputs& in, const SegmentPlan& plan, const DeviceWork& work);

}  // namespace adder::kernels::cuda
