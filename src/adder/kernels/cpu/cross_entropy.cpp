#include "adder/kernels/cpu/cross_entropy.h"

#include <math.h>

#include "adder/kernels/cpu/rows.h"

namespace adder::kernels::ADDER_ISA {
namespace {

/// What one pass over a row of scores gives.
struct RowSums {
  double lse;  // log sum_j exp(s_j)
  double sum;  // sum_j s_j
};

constexpr int64_t kBlock = 1024;  // logits read twice while they are in the first-level cache
constexpr float kLowest = -3.0e38f;

/// softcap tanh(logit / softcap), or the logit itself.
ADDER_INLINE vf score(vf logit, float softcap) {
  if (softcap == 0) return logit;
  const vf e = exp(logit * (-2.0f / softcap));
  return softcap * (2.0f / (1.0f + e) - 1.0f);
}
/// d score / d logit = 1 - tanh^2, without the cancellation of that form.
ADDER_INLINE vf score_slope(vf logit, float softcap) {
  if (softcap == 0) return splat(1.0f);
  const vf u = logit * (2.0f / softcap), e = exp(u < vf{} ? u : -u);
  return 4.0f * e / ((1.0f + e) * (1.0f + e));
}
float score(float logit, float softcap) {
  return score(splat(logit), softcap)[0];
}

/// Largest score and sum of the scores of one block; both ignore what lies past its end.
ADDER_INLINE float block_maximum(const float* logits, int64_t count, float softcap, float* total) {
  vf highest = splat(kLowest), scores{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const vf s = score(load(logits + i), softcap);
    highest = max(s, highest);
    scores += s;
  }
  float top = largest(highest);
  *total = sum(scores);
  for (; i < count; ++i) {
    const float s = score(logits[i], softcap);
    top = s > top ? s : top;
    *total += s;
  }
  return top;
}

ADDER_INLINE float block_exponentials(const float* logits, int64_t count, float softcap,
                                      float top) {
  vf exponentials{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    exponentials += exp(score(load(logits + i), softcap) - top);
  float total = sum(exponentials);
  if (i < count) {
    const vf tail = exp(score(load_n(logits + i, count - i), softcap) - top);
    for (int64_t j = 0; j < count - i; ++j) total += tail[j];
  }
  return total;
}

/// One pass over memory: the maximum so far and the sum of exponentials relative to it are carried
/// from block to block.
RowSums sums_of(const float* logits, int64_t vocab, float softcap) {
  double top = kLowest, exponentials = 0, scores = 0;
  for (int64_t begin = 0; begin < vocab; begin += kBlock) {
    const int64_t count = vocab - begin < kBlock ? vocab - begin : kBlock;
    float total;
    const float block_top = block_maximum(logits + begin, count, softcap, &total);
    if (block_top > top) {
      exponentials *= ::exp(top - block_top);
      top = block_top;
    }
    exponentials += block_exponentials(logits + begin, count, softcap, static_cast<float>(top));
    scores += total;
  }
  return {top + ::log(exponentials), scores};
}

/// A row of logits becomes scale * d nll / d logits.
void differentiate_row(float* logits, int64_t vocab, int64_t label, float scale,
                       const CrossEntropyOptions& options) {
  const float softcap = static_cast<float>(options.softcap);
  const double lse = sums_of(logits, vocab, softcap).lse;
  const float grad_lse = scale * static_cast<float>(1 + 2 * options.z_loss * lse);
  const float uniform = scale * static_cast<float>(options.label_smoothing / double(vocab));
  const float at_label = scale * static_cast<float>(1 - options.label_smoothing);
  const float label_slope = score_slope(splat(logits[label]), softcap)[0];
  for (int64_t i = 0; i < vocab; i += kLanes) {
    const vf logit = load_up_to(logits + i, vocab - i);
    const vf p = exp(score(logit, softcap) - static_cast<float>(lse));
    store_up_to(logits + i, (p * grad_lse - uniform) * score_slope(logit, softcap), vocab - i);
  }
  logits[label] -= at_label * label_slope;
}

}  // namespace

void cross_entropy_rows(const View<2>& logits, const View<1>& target, const View<1>& nll,
                        const CrossEntropyOptions& options, const Parallel& parallel) {
  const int64_t vocab = logits.size[1];
  const float softcap = static_cast<float>(options.softcap);
  const double smoothing = options.label_smoothing;
  parallel.run(logits.size[0], 1 + 16384 / (vocab + 1), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t label = static_cast<const int64_t*>(target.data)[row * target.stride[0]];
      float* to = static_cast<float*>(nll.data) + row * nll.stride[0];
      *to = 0;
      if (label == options.ignore_index) continue;
      const float* from = at<const float>(logits, row);
      const RowSums sums = sums_of(from, vocab, softcap);
      double loss = sums.lse - (1 - smoothing) * score(from[label], softcap) +
                    options.z_loss * sums.lse * sums.lse;
      if (smoothing > 0) loss -= smoothing * sums.sum / double(vocab);  // logits may be -inf
      *to = static_cast<float>(loss);
    }
  });
}

void cross_entropy_rows_backward(const View<2>& logits, const View<1>& target, const View<1>& scale,
                                 const CrossEntropyOptions& options, const Parallel& parallel) {
  const int64_t vocab = logits.size[1];
  parallel.run(logits.size[0], 1 + 16384 / (vocab + 1), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t label = static_cast<const int64_t*>(target.data)[row * target.stride[0]];
      float* values = at<float>(logits, row);
      if (label == options.ignore_index) {
        for (int64_t i = 0; i < vocab; ++i) values[i] = 0;
        continue;
      }
      const float factor = static_cast<const float*>(scale.data)[row * scale.stride[0]];
      differentiate_row(values, vocab, label, factor, options);
    }
  });
}

}  // namespace adder::kernels::ADDER_ISA
