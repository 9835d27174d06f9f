#include "adder/kernels/ref/attention.h"

#include <algorithm>
#include <vector>

#include "adder/kernels/ref/element.h"

namespace adder::kernels::ref {

template <typename T>
void attention(const AttentionInputs& in, const View<3>& y) {
  const auto [length, heads, head_dim] = in.q.size;
  const int64_t queries_a_key = heads / in.k.size[1];
  for (int64_t i = 0; i < length; ++i) {
    const int64_t own = in.first + i;
    const int64_t oldest = in.window > 0 ? std::max<int64_t>(0, own - in.window + 1) : 0;
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t g = h / queries_a_key;
      std::vector<T> scores;
      for (int64_t j = oldest; j <= own; ++j) {
        T dot = 0;
        for (int64_t d = 0; d < head_dim; ++d) dot += get<T>(in.q, i, h, d) * get<T>(in.k, j, g, d);
        scores.push_back(static_cast<T>(in.scale) * dot);
      }
      const T top = *std::max_element(scores.begin(), scores.end());
      T total = 0;
      for (T& score : scores) total += score = std::exp(score - top);
      for (int64_t d = 0; d < head_dim; ++d) {
        T sum = 0;
        for (int64_t j = oldest; j <= own; ++j) sum += scores[j - oldest] * get<T>(in.v, j, g, d);
        set(y, sum / total, i, h, d);
      }
    }
  }
}

template void attention<float>(const AttentionInputs&, const View<3>&);
template void attention<double>(const AttentionInputs&, const View<3>&);

}  // namespace adder::kernels::ref
