#include "adder/ops/view.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <sstream>
#include <vector>

namespace adder::ops {

DType dtype_of(const Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kDouble:
      return DType::f64;
    case at::kFloat:
      return DType::f32;
    case at::kBFloat16:
      return DType::bf16;
    case at::kLong:
      return DType::i64;
    case at::kInt:
      return DType::i32;
    default:
      TORCH_CHECK(false, "adder: tensors of type ", tensor.scalar_type(), " are not supported");
  }
}

namespace {

class TorchPool final : public Parallel {
 public:
  void run(int64_t count, int64_t grain, RangeBody body) const override {
    at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) { body(begin, end); });
  }
  int threads() const override { return at::get_num_threads(); }
};

}  // namespace

const Parallel& torch_pool() {
  static const TorchPool pool;
  return pool;
}

void ArgumentCheck::shape(const char* name, const Tensor& tensor, at::IntArrayRef expected) const {
  bool fits = tensor.dim() == static_cast<int64_t>(expected.size());
  for (size_t d = 0; fits && d < expected.size(); ++d) {
    fits = expected[d] == -1 || tensor.size(static_cast<int64_t>(d)) == expected[d];
  }
  if (fits) {
    TORCH_CHECK(tensor.device() == device_, op_, ": ", name, " is on ", tensor.device(),
                ", expected ", device_);
    return;
  }
  std::ostringstream message;
  message << name << " has shape " << tensor.sizes() << ", expected [";
  for (size_t d = 0; d < expected.size(); ++d) {
    message << (d ? ", " : "");
    if (expected[d] == -1)
      message << "*";
    else
      message << expected[d];
  }
  message << "]";
  that(false, message.str());
}

void ArgumentCheck::dtype(const char* name, const Tensor& tensor, at::ScalarType expected) const {
  TORCH_CHECK(tensor.scalar_type() == expected, op_, ": ", name, " is ", tensor.scalar_type(),
              ", expected ", expected);
}

void ArgumentCheck::activation(const char* name, const Tensor& tensor) const {
  const auto type = tensor.scalar_type();
  TORCH_CHECK(!tensor.is_cuda() || type != at::kDouble, op_, ": ", name,
              " is float64, which is for the CPU alone; on a device give float32 or bfloat16");
  TORCH_CHECK(type == at::kDouble || type == at::kFloat || type == at::kBFloat16, op_, ": ", name,
              " is ", type, ", expected float32, bfloat16 or float64");
}

void ArgumentCheck::that(bool holds, const std::string& message) const {
  TORCH_CHECK(holds, op_, ": ", message);
}

void check_slots(const ArgumentCheck& check, const Tensor& state_indices, int64_t rows,
                 int64_t slots) {
  check.shape("state_indices", state_indices, {rows});
  check.dtype("state_indices", state_indices, at::kInt);
  if (state_indices.is_cuda()) return;  // to look would wait for the device
  const Tensor dense = state_indices.contiguous();
  std::vector<int> sorted(dense.const_data_ptr<int>(), dense.const_data_ptr<int>() + rows);
  std::sort(sorted.begin(), sorted.end());
  check.that(sorted.empty() || sorted.back() < slots,
             "state_indices names a slot that state does not have");
  const auto used = std::lower_bound(sorted.begin(), sorted.end(), 0);
  check.that(std::adjacent_find(used, sorted.end()) == sorted.end(),
             "state_indices names a slot twice");
}

at::ScalarType wide(at::ScalarType activation) {
  return activation == at::kDouble ? at::kDouble : at::kFloat;
}

Tensor last_contiguous(const Tensor& tensor) {
  const bool good = tensor.dim() == 0 || tensor.size(-1) <= 1 || tensor.stride(-1) == 1;
  return good ? tensor : tensor.contiguous();
}

OptionalTensor last_contiguous(const OptionalTensor& tensor) {
  return tensor && tensor->defined() ? OptionalTensor(last_contiguous(*tensor)) : std::nullopt;
}

OptionalTensor contiguous(const OptionalTensor& tensor) {
  return tensor && tensor->defined() ? OptionalTensor(tensor->contiguous()) : std::nullopt;
}

}  // namespace adder::ops
