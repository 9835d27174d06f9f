#include "adder/kernels/ref/mlp_activation.h"

#include <numbers>

#include "adder/kernels/ref/element.h"

namespace adder::kernels::ref {

template <typename T>
void swiglu(const View<2>& up, const View<2>& gate, const View<2>& y) {
  for (int64_t row = 0; row < y.size[0]; ++row)
    for (int64_t i = 0; i < y.size[1]; ++i)
      set(y, get<T>(up, row, i) * silu(get<T>(gate, row, i)), row, i);
}

template <typename T>
void gelu(const View<2>& x, const View<2>& y) {
  for (int64_t row = 0; row < y.size[0]; ++row) {
    for (int64_t i = 0; i < y.size[1]; ++i) {
      const T value = get<T>(x, row, i);
      set(y, value / 2 * std::erfc(-value / std::numbers::sqrt2_v<T>), row, i);
    }
  }
}

template void swiglu<float>(const View<2>&, const View<2>&, const View<2>&);
template void swiglu<double>(const View<2>&, const View<2>&, const View<2>&);
template void gelu<float>(const View<2>&, const View<2>&);
template void gelu<double>(const View<2>&, const View<2>&);

}  // namespace adder::kernels::ref
