// Between tensors and kernels: views, checks whose messages name the operator and the argument, and
// LibTorch's thread pool as the kernels' Parallel.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "adder/base/parallel.h"
#include "adder/kernels/view.h"

namespace adder::ops {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

/// The element type a kernel reads; throws for types no operator takes.
DType dtype_of(const Tensor& tensor);

/// A view of a tensor of Rank dimensions; not given when the tensor is undefined.
template <int Rank>
kernels::View<Rank> view(const Tensor& tensor) {
  kernels::View<Rank> result;
  if (!tensor.defined()) return result;
  TORCH_INTERNAL_ASSERT(tensor.dim() == Rank);
  result.data = tensor.data_ptr();
  result.dtype = dtype_of(tensor);
  for (int d = 0; d < Rank; ++d) {
    result.size[d] = tensor.size(d);
    result.stride[d] = tensor.stride(d);
  }
  // An empty tensor may have no memory, and is given all the same.
  static char empty = 0;
  if (result.data == nullptr) result.data = &empty;
  return result;
}

template <int Rank>
kernels::View<Rank> view(const OptionalTensor& tensor) {
  return view<Rank>(tensor.value_or(Tensor()));
}

/// LibTorch's pool: the one thread pool of a process that trains.
const Parallel& torch_pool();

/// Checks the arguments of one operator; every message begins with its name.
class ArgumentCheck {
 public:
  /// Every tensor belongs on the device of `first`.
  ArgumentCheck(const char* op, const Tensor& first) : op_(op), device_(first.device()) {}

  /// `tensor` has exactly these sizes (-1 fits any) and is on the device.
  void shape(const char* name, const Tensor& tensor, at::IntArrayRef expected) const;
  void dtype(const char* name, const Tensor& tensor, at::ScalarType expected) const;
  /// f64, f32 or bf16; on a device f32 or bf16.
  void activation(const char* name, const Tensor& tensor) const;
  void that(bool holds, const std::string& message) const;

 private:
  const char* op_;
  at::Device device_;
};

/// state_indices of a one-token update: one i32 a row, each below `slots`, none twice but < 0. On
/// a device the values are the caller's promise.
void check_slots(const ArgumentCheck& check, const Tensor& state_indices, int64_t rows,
                 int64_t slots);

/// The type of decays, biases and states beside activations of this type: f64 for f64, else f32.
at::ScalarType wide(at::ScalarType activation);

/// The tensor with its last dimension contiguous (a copy only when it is not).
Tensor last_contiguous(const Tensor& tensor);
OptionalTensor last_contiguous(const OptionalTensor& tensor);
OptionalTensor contiguous(const OptionalTensor& tensor);

}  // namespace adder::ops
