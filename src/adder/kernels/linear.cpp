#include "adder/kernels/linear.h"

#include "adder/kernels/cpu/linear.h"

namespace adder::kernels {

void linear(const View<2>& x, const View<2>& weight, const View<1>& bias, const View<2>& y,
            const Parallel& parallel) {
  ADDER_VARIANT(linear)(x, weight, bias, y, parallel);
}

}  // namespace adder::kernels
