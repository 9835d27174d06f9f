#include "adder/kernels/attention.h"

#include "adder/kernels/cpu/attention.h"
#include "adder/kernels/ref/attention.h"

namespace adder::kernels {

void attention(const AttentionInputs& in, const View<3>& y, const Parallel& parallel) {
  in.q.dtype == DType::f64 ? ref::attention<double>(in, y)
                           : ADDER_VARIANT(attention)(in, y, parallel);
}

}  // namespace adder::kernels
