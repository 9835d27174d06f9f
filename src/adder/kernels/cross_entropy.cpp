#include "adder/kernels/cross_entropy.h"

#include "adder/kernels/ref/cross_entropy.h"

namespace adder::kernels {

void cross_entropy_rows(const View<2>& logits, const View<1>& target, const View<1>& nll,
                        const CrossEntropyOptions& options, const Parallel&) {
  logits.dtype == DType::f64 ? ref::cross_entropy_rows<double>(logits, target, nll, options)
                             : ref::cross_entropy_rows<float>(logits, target, nll, options);
}

void cross_entropy_rows_backward(const View<2>& logits, const View<1>& target, const View<1>& scale,
                                 const CrossEntropyOptions& options, const Parallel&) {
  logits.dtype == DType::f64
      ? ref::cross_entropy_rows_backward<double>(logits, target, scale, options)
      : ref::cross_entropy_rows_backward<float>(logits, target, scale, options);
}

}  // namespace adder::kernels
