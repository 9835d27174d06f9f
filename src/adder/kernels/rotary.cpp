#include "adder/kernels/rotary.h"

#include <cmath>

#include "adder/kernels/cpu/rotary.h"
#include "adder/kernels/ref/rotary.h"

namespace adder::kernels {

std::vector<double> rotary_frequencies(int64_t dim, double base) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < dim / 2; ++i)
    frequencies.push_back(std::pow(base, -2 * static_cast<double>(i) / static_cast<double>(dim)));
  return frequencies;
}

void rotary(const RotaryArgs& args, const Parallel& parallel) {
  args.x.dtype == DType::f64 ? ref::rotary<double>(args) : ADDER_VARIANT(rotary)(args, parallel);
}

}  // namespace adder::kernels
