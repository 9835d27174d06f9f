#include "adder/ops/slices.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <functional>
#include <numeric>
#include <utility>

namespace adder::ops {
namespace {

using torch::autograd::variable_list;

/// Where a part lies in the whole, and how it is seen.
struct Slice {
  int64_t begin, width;
  std::vector<int64_t> shape;

  Tensor of(const Tensor& whole) const {
    const Tensor part = whole.narrow(-1, begin, width);
    return shape.size() == 1 ? part : part.unflatten(-1, shape);
  }
};

std::vector<Slice> cut(const Tensor& x, const std::vector<std::vector<int64_t>>& shapes) {
  std::vector<Slice> result;
  int64_t begin = 0;
  for (const std::vector<int64_t>& shape : shapes) {
    const int64_t width =
        std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
    result.push_back({begin, width, shape});
    begin += width;
  }
  TORCH_CHECK(begin == x.size(-1), "slices: the widths of the parts add up to ", begin,
              ", that of x is ", x.size(-1));
  return result;
}

/// Whether `tensor` is made of whole words of 16 bytes, each at a multiple of 16.
bool holds_words(const Tensor& tensor) {
  const int64_t count = 16 / tensor.element_size();
  bool whole = reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0 &&
               tensor.storage_offset() % count == 0 && tensor.size(-1) % count == 0 &&
               tensor.stride(-1) == 1;
  for (int64_t d = 0; d + 1 < tensor.dim(); ++d) whole = whole && tensor.stride(d) % count == 0;
  return whole;
}

/// LibTorch copies between unlike strides on a device element by element: larger elements, where
/// they can be had, make it three times as fast.
void copy_part(const Tensor& to, const Tensor& from) {
  const bool words = to.is_cuda() && to.scalar_type() == from.scalar_type() && holds_words(to) &&
                     holds_words(from);
  const auto seen = [words](const Tensor& t) { return words ? t.view(at::kComplexDouble) : t; };
  seen(to).copy_(seen(from));
}

/// Gives the gradient of the whole, most of which is there already.
class JoinSlices final : public torch::autograd::Node {
 public:
  JoinSlices(const Tensor& x, std::vector<Slice> parts)
      : sizes_(x.sizes().vec()),
        options_(x.options()),
        parts_(std::move(parts)),
        taken_(parts_.size()) {}

  std::string name() const override { return "adder::join_slices"; }

  /// The place for the gradient of part `i`, for the first who asks in a pass: undefined for those
  /// after, whose gradients are added.
  Tensor take(size_t i) {
    if (taken_.at(i)) return {};
    taken_[i] = true;
    return place(i);
  }

  void release_variables() override {
    taken_.assign(parts_.size(), false);
    whole_.reset();
  }

  variable_list apply(variable_list&& gradients) override {
    TORCH_CHECK(!at::GradMode::is_enabled(), name(), ": second derivatives are not provided");
    for (size_t i = 0; i < parts_.size(); ++i) {
      const Tensor here = place(i);
      if (!gradients[i].defined()) {
        here.zero_();
      } else if (gradients[i].data_ptr() != here.data_ptr() ||
                 gradients[i].strides() != here.strides()) {
        copy_part(here, gradients[i]);
      }
    }
    taken_.assign(parts_.size(), false);
    return {std::exchange(whole_, Tensor())};
  }

 private:
  Tensor place(size_t i) {
    if (!whole_.defined()) whole_ = at::empty(sizes_, options_);
    return parts_.at(i).of(whole_);
  }

  std::vector<int64_t> sizes_;
  at::TensorOptions options_;
  std::vector<Slice> parts_;
  std::vector<bool> taken_;
  Tensor whole_;  // from the first place that is asked for until the pass is through here
};

}  // namespace

std::vector<Tensor> slices(const Tensor& x, const std::vector<std::vector<int64_t>>& shapes) {
  std::vector<Slice> parts = cut(x, shapes);
  std::vector<Tensor> result;
  {
    const at::AutoDispatchBelowADInplaceOrView below;
    for (const Slice& part : parts) result.push_back(part.of(x));
  }
  if (!torch::autograd::compute_requires_grad(x)) return result;
  const std::shared_ptr<JoinSlices> node(new JoinSlices(x, std::move(parts)),
                                         torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(x));
  for (const Tensor& part : result) torch::autograd::set_history(part, node);
  return result;
}

Tensor empty_gradient(const Tensor& input) {
  auto* join = dynamic_cast<JoinSlices*>(input.grad_fn().get());
  // On the CPU the kernels are fastest on dense gradients.
  if (join != nullptr && !input.is_cpu()) {
    if (const Tensor place = join->take(input.output_nr()); place.defined()) return place;
  }
  return at::empty(input.sizes(), input.options());
}

}  // namespace adder::ops
