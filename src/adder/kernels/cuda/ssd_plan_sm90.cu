#include "adder/kernels/cuda/ssd_plan_sm90.h"

#include <algorithm>
#include <cmath>

#include "adder/kernels/cuda/device.h"
#include "adder/kernels/cuda/ssd_segments.h"

namespace adder::kernels::cuda {
namespace {

// In microseconds on an H200.
constexpr double kChunkTime = 1.42, kPassedTime = 0.85;  // of the forward
constexpr double kLocalTime = 0.5;                       // for the state of a segment
constexpr double kCtaTime = 4, kLaunches = 12;

double cta_time(int64_t chunks, double a_chunk) {
  return static_cast<double>(chunks) * a_chunk + kCtaTime;
}
double waves(int64_t ctas, int64_t multiprocessors) {
  return static_cast<double>(ceil_div(ctas, multiprocessors));
}

double segments_time(const SequenceCut& cut, int64_t ctas, int64_t multiprocessors) {
  const double time =
      waves(ctas * cut.segments, multiprocessors) * cta_time(cut.chunks, kChunkTime);
  if (cut.segments == 1) return time;
  return time + kLaunches +
         waves(ctas * (cut.segments - 1), multiprocessors) * cta_time(cut.chunks, kLocalTime);
}

/// The prefix whose CTAs, on the multiprocessors that the others leave free, end when those do.
int64_t even_prefix(int64_t chunks, int64_t ctas, int64_t multiprocessors) {
  const double rounds = waves(ctas, multiprocessors - ctas);
  const double more = static_cast<double>(chunks) * kChunkTime - (rounds - 1) * kCtaTime;
  return std::lround(more / ((rounds + 1) * kChunkTime - kPassedTime));
}

}  // namespace

SequenceCut cut_sequence(int64_t chunks, int64_t segments, int64_t prefix) {
  if (prefix > 0 && prefix < chunks) return {2, chunks, prefix};
  const SegmentPlan plan = equal_segments(chunks, std::max<int64_t>(segments, 1));
  return {plan.segments, plan.chunks, 0};
}

SequenceCut plan_sm90(int64_t chunks, int64_t ctas) {
  const int64_t multiprocessors = std::max(1, device_attribute(cudaDevAttrMultiProcessorCount));
  SequenceCut best{1, chunks, 0};
  double least = segments_time(best, ctas, multiprocessors);
  const auto consider = [&](const SequenceCut& cut, double time) {
    if (time < least) least = time, best = cut;
  };
  for (int64_t n = 2; n <= std::min<int64_t>(chunks, 32); ++n) {
    const SequenceCut cut = cut_sequence(chunks, n, 0);
    consider(cut, segments_time(cut, ctas, multiprocessors));
  }
  if (ctas < multiprocessors) {
    const int64_t prefix = even_prefix(chunks, ctas, multiprocessors);
    if (prefix > 0 && prefix < chunks)
      consider({2, chunks, prefix},
               cta_time(chunks - prefix, kChunkTime) + double(prefix) * kPassedTime);
  }
  return best;
}

}  // namespace adder::kernels::cuda
