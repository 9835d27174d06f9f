#include "adder/kernels/ref/linear.h"

#include "adder/kernels/ref/element.h"

namespace adder::kernels::ref {

template <typename T>
void linear(const View<2>& x, const View<2>& weight, const View<1>& bias, const View<2>& y) {
  for (int64_t row = 0; row < y.size[0]; ++row) {
    for (int64_t o = 0; o < y.size[1]; ++o) {
      T sum = 0;
      for (int64_t i = 0; i < x.size[1]; ++i) sum += get<T>(x, row, i) * get<T>(weight, o, i);
      set(y, bias.given() ? sum + get<T>(bias, o) : sum, row, o);
    }
  }
}

template void linear<float>(const View<2>&, const View<2>&, const View<1>&, const View<2>&);
template void linear<double>(const View<2>&, const View<2>&, const View<1>&, const View<2>&);

}  // namespace adder::kernels::ref
