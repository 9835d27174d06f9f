#include "adder/ops/causal_attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <memory>

#include "adder/kernels/cuda_kernels.h"

namespace adder::ops {
namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

constexpr int64_t kLeastLength = 512;

bool on_hopper(const Tensor& x) {
  static const bool found = [&] {
    const kernels::CudaKernels* table = kernels::cuda_kernels();
    kernels::DeviceInfo info;
    return table != nullptr && table->device_info(x.device().index(), info) == nullptr &&
           info.major == 9;
  }();
  return found;
}

bool takes_heads(const Tensor& q, const Tensor& k, const Tensor& v) {
  return q.is_cuda() && q.scalar_type() == at::kBFloat16 && q.sizes() == k.sizes() &&
         q.sizes() == v.sizes() && q.size(1) >= kLeastLength && q.size(3) % 8 == 0 &&
         q.size(3) <= 128 && torch::autograd::compute_requires_grad(q, k, v) && on_hopper(q);
}

/// (batch, length, heads, head_dim) as (batch, heads, length, head_dim), and the other way round.
Tensor swapped(const Tensor& heads) {
  return heads.transpose(1, 2);
}

class CausalAttentionBackward final : public torch::autograd::Node {
 public:
  CausalAttentionBackward(const Tensor& q, const Tensor& k, const Tensor& v, double scale)
      : q_(q, false), k_(k, false), v_(v, false), scale_(scale) {}

  /// What the forward pass gave: y as q, and the logarithm of each sum (batch, heads, length).
  void keep(const Tensor& y, const Tensor& log_sums) {
    y_ = SavedVariable(y, /*is_output=*/true);
    log_sums_ = log_sums;
  }

  std::string name() const override { return "adder::causal_attention_backward"; }
  void release_variables() override {
    for (SavedVariable* saved : {&q_, &k_, &v_, &y_}) saved->reset_data();
    log_sums_.reset();
  }

  variable_list apply(variable_list&& outer) override {
    TORCH_CHECK(!at::GradMode::is_enabled(), name(), ": second derivatives are not provided");
    if (!outer[0].defined()) return variable_list(3);
    const Tensor q = q_.unpack(), k = k_.unpack(), v = v_.unpack();
    const Tensor y = y_.unpack(shared_from_this());
    const Tensor no_dropout = at::empty({}, q.options().dtype(at::kLong));
    const int64_t length = q.size(1);
    const auto [grad_q, grad_k, grad_v] = at::_scaled_dot_product_flash_attention_backward(
        swapped(outer[0]), swapped(q), swapped(k), swapped(v), swapped(y), log_sums_, {}, {},
        length, length, /*dropout_p=*/0, /*is_causal=*/true, no_dropout, no_dropout, scale_);
    return {swapped(grad_q), swapped(grad_k), swapped(grad_v)};
  }

 private:
  SavedVariable q_, k_, v_, y_;
  Tensor log_sums_;
  double scale_;
};

}  // namespace

std::optional<Tensor> causal_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                       double scale) {
  if (!takes_heads(q, k, v)) return std::nullopt;
  const std::shared_ptr<CausalAttentionBackward> node(new CausalAttentionBackward(q, k, v, scale),
                                                      torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(q, k, v));
  Tensor y, log_sums;
  {
    const at::AutoDispatchBelowADInplaceOrView below;
    const auto found = at::_scaled_dot_product_cudnn_attention(
        swapped(q), swapped(k), swapped(v), /*attn_bias=*/{}, /*compute_log_sumexp=*/true,
        /*dropout_p=*/0, /*is_causal=*/true, /*return_debug_mask=*/false, scale);
    y = swapped(std::get<0>(found));
    log_sums = std::get<1>(found).squeeze(-1);
  }
  torch::autograd::set_history(y, node);
  node->keep(y, log_sums);
  return y;
}

}  // namespace adder::ops
