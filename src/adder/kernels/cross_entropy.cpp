#include "adder/kernels/cross_entropy.h"

#include "adder/kernels/cpu/cross_entropy.h"
#include "adder/kernels/ref/cross_entropy.h"

namespace adder::kernels {

void cross_entropy_rows(const View<2>& logits, const View<1>& target, const View<1>& nll,
                        const CrossEntropyOptions& options, const Parallel& parallel) {
  logits.dtype == DType::f64
      ? ref::cross_entropy_rows<double>(logits, target, nll, options)
      : ADDER_VARIANT(cross_entropy_rows)(logits, target, nll, options, parallel);
}

void cross_entropy_rows_backward(const View<2>& logits, const View<1>& target, const View<1>& scale,
                                 const CrossEntropyOptions& options, const Parallel& parallel) {
  logits.dtype == DType::f64
      ? ref::cross_entropy_rows_backward<double>(logits, target, scale, options)
      : ADDER_VARIANT(cross_entropy_rows_backward)(logits, target, scale, options, parallel);
}

}  // namespace adder::kernels
