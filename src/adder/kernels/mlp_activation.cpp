#include "adder/kernels/mlp_activation.h"

#include "adder/kernels/cpu/mlp_activation.h"
#include "adder/kernels/ref/mlp_activation.h"

namespace adder::kernels {

void swiglu(const View<2>& up, const View<2>& gate, const View<2>& y, const Parallel& parallel) {
  any_double(up) ? ref::swiglu<double>(up, gate, y) : ADDER_VARIANT(swiglu)(up, gate, y, parallel);
}

void gelu(const View<2>& x, const View<2>& y, const Parallel& parallel) {
  any_double(x) ? ref::gelu<double>(x, y) : ADDER_VARIANT(gelu)(x, y, parallel);
}

}  // namespace adder::kernels
