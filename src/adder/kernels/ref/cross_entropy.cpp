#include "adder/kernels/ref/cross_entropy.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "adder/kernels/ref/element.h"

namespace adder::kernels::ref {
namespace {

/// One row's logits after the soft cap, and their log-sum-exp.
template <typename T>
struct Scores {
  std::vector<T> s;
  T lse = 0;
};

template <typename T>
Scores<T> scores_of(const View<2>& logits, int64_t row, double softcap) {
  const int64_t vocab = logits.size[1];
  Scores<T> scores{std::vector<T>(vocab)};
  T highest = -std::numeric_limits<T>::infinity();
  for (int64_t j = 0; j < vocab; ++j) {
    const T logit = get<T>(logits, row, j), cap = static_cast<T>(softcap);
    scores.s[j] = cap > 0 ? cap * std::tanh(logit / cap) : logit;
    highest = std::max(highest, scores.s[j]);
  }
  T sum = 0;
  for (const T s : scores.s) sum += std::exp(s - highest);
  scores.lse = highest + std::log(sum);
  return scores;
}

}  // namespace

template <typename T>
void cross_entropy_rows(const View<2>& logits, const View<1>& target, const View<1>& nll,
                        const CrossEntropyOptions& options) {
  const auto [rows, vocab] = logits.size;
  const T smoothing = static_cast<T>(options.label_smoothing);
  for (int64_t row = 0; row < rows; ++row) {
    const auto label = get<int64_t>(target, row);
    if (label == options.ignore_index) {
      set(nll, T(0), row);
      continue;
    }
    const Scores<T> scores = scores_of<T>(logits, row, options.softcap);
    T loss = scores.lse - (1 - smoothing) * scores.s[label] +
             static_cast<T>(options.z_loss) * scores.lse * scores.lse;
    for (int64_t j = 0; j < vocab && smoothing > 0; ++j)
      loss -= smoothing * scores.s[j] / static_cast<T>(vocab);
    set(nll, loss, row);
  }
}

template <typename T>
void cross_entropy_rows_backward(const View<2>& logits, const View<1>& target, const View<1>& scale,
                                 const CrossEntropyOptions& options) {
  const auto [rows, vocab] = logits.size;
  const T smoothing = static_cast<T>(options.label_smoothing);
  for (int64_t row = 0; row < rows; ++row) {
    const auto label = get<int64_t>(target, row);
    if (label == options.ignore_index) {
      for (int64_t j = 0; j < vocab; ++j) set(logits, T(0), row, j);
      continue;
    }
    const Scores<T> scores = scores_of<T>(logits, row, options.softcap);
    const T grad_lse = 1 + 2 * static_cast<T>(options.z_loss) * scores.lse;
    for (int64_t j = 0; j < vocab; ++j) {
      T grad = std::exp(scores.s[j] - scores.lse) * grad_lse - smoothing / static_cast<T>(vocab);
      if (j == label) grad -= 1 - smoothing;
      if (options.softcap > 0) {
        const T t = scores.s[j] / static_cast<T>(options.softcap);
        grad *= 1 - t * t;
      }
      set(logits, get<T>(scale, row) * grad, row, j);
    }
  }
}

template void cross_entropy_rows<float>(const View<2>&, const View<1>&, const View<1>&,
                                        const CrossEntropyOptions&);
template void cross_entropy_rows<double>(const View<2>&, const View<1>&, const View<1>&,
                                         const CrossEntropyOptions&);
template void cross_entropy_rows_backward<float>(const View<2>&, const View<1>&, const View<1>&,
                                                 const CrossEntropyOptions&);
template void cross_entropy_rows_backward<double>(const View<2>&, const View<1>&, const View<1>&,
                                                  const CrossEntropyOptions&);

}  // namespace adder::kernels::ref
