#include "adder/kernels/rotary.h"

#include "adder/kernels/cpu/rotary.h"
#include "adder/kernels/ref/rotary.h"

namespace adder::kernels {

void rotary(const RotaryArgs& args, const Parallel& parallel) {
  args.x.dtype == DType::f64 ? ref::rotary<double>(args) : ADDER_VARIANT(rotary)(args, parallel);
}

}  // namespace adder::kernels
