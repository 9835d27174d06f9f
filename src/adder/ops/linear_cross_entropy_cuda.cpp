// linear_cross_entropy on a device. A tile of tokens is one matrix product
// (fp32 logits from bf16 operands), one kernel that turns logits into losses
// and their gradients, and the products of those with the weight and with x
// while the tile is there: nothing is made twice. So where autograd will ask,
// the forward pass keeps the gradients of the summed loss, and the backward
// pass scales them. Nothing waits for the device: a target that is no word
// makes its loss NaN.
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/DeviceGuard.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/graph_task.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "adder/ops/autograd.h"
#include "adder/ops/device.h"
#include "adder/ops/linear_cross_entropy.h"
#include "adder/ops/product.h"

namespace adder::ops {
namespace {

using Arguments = LinearCrossEntropyArguments;

/// Tokens per tile. The products want some thousands. A tile takes 6 bytes for
/// each of its logits: 1.2 GB at most, and for batches of the usual size less
/// than a tenth of what whole logits take (6 bytes each, and as much again in
/// the backward pass).
int64_t device_tile_tokens(int64_t tokens, int64_t vocab) {
  constexpr int64_t kGrain = 256, kLogits = int64_t{200} << 20;
  const int64_t usual = std::clamp<int64_t>(tokens / 8, 2048, 4096);
  return std::max(kGrain, std::min(usual, kLogits / vocab) / kGrain * kGrain);
}

/// Rows of logits begin at multiples of 128 bytes, and words of weight zero
/// fill them up: products of matrices with an odd side run at a quarter of
/// their speed, with one that is no multiple of 64 at four fifths.
int64_t whole_vocab(int64_t vocab) {
  return (vocab + 63) / 64 * 64;
}

/// Which gradients are wanted, or the gradients.
struct HeadNeeds {
  bool x = false, weight = false, bias = false;
  bool any() const { return x || weight || bias; }
};
struct HeadGradients {
  Tensor x, weight, bias;  // f32
};

/// Goes through all tokens, tile by tile.
class DeviceHead {
 public:
  DeviceHead(const Arguments& args, const HeadNeeds& needs) : args_(args), needs_(needs) {
    const int64_t vocab = args.weight.size(0), whole = whole_vocab(vocab), d_model = args.x.size(1);
    weight_ = whole == vocab ? args.weight.to(args.x.scalar_type()) : filled_up(whole);
    const auto wide = args.x.options().dtype(at::kFloat);
    const int64_t tokens = args.x.size(0);
    tile_ = std::min(tokens, device_tile_tokens(tokens, vocab));
    nll_ = at::empty({tokens}, wide);
    logits_ = at::empty({tile_, whole}, wide);
    if (!needs.any()) return;
    dlogits_ = logits_;
    if (args.x.scalar_type() != at::kFloat) {
      dlogits_ = at::empty({tile_, whole}, args.x.options());
      dlogits_.narrow(1, vocab, whole - vocab).zero_();
    }
    if (needs.x) gradients_.x = at::empty(args.x.sizes(), wide);
    if (needs.weight) gradients_.weight = at::empty({whole, d_model}, wide);
    if (needs.weight && tokens == 0) gradients_.weight.zero_();
    if (needs.bias) gradients_.bias = at::zeros({vocab}, wide);
  }

  /// The losses and, if any are wanted, the gradients of sum_t scale[t] nll[t];
  /// scale (T) f32, undefined: 1.
  void run(const Tensor& scale = {}) {
    const c10::DeviceGuard guard(args_.x.device());
    const int64_t tokens = args_.x.size(0), vocab = args_.weight.size(0);
    for (int64_t begin = 0; begin < tokens; begin += tile_) {
      const int64_t count = std::min(tile_, tokens - begin);
      const Tensor rows = args_.x.narrow(0, begin, count);
      const Tensor logits = logits_.narrow(0, 0, count);
      set_product(logits, rows, weight_.t());
      if (args_.bias) logits.narrow(1, 0, vocab).add_(*args_.bias);
      if (!needs_.any()) {
        row_pass(begin, logits, {}, {});
        continue;
      }
      const Tensor dlogits = dlogits_.narrow(0, 0, count);
      row_pass(begin, logits, dlogits, scale);
      if (needs_.x) set_product(gradients_.x.narrow(0, begin, count), dlogits, weight_);
      if (needs_.weight) set_product(gradients_.weight, dlogits.t(), rows, begin > 0);
      if (needs_.bias)
        gradients_.bias.add_(dlogits.narrow(1, 0, vocab).sum({0}, false, at::kFloat));
    }
  }

  HeadGradients gradients() const {
    HeadGradients found = gradients_;
    if (needs_.weight) found.weight = found.weight.narrow(0, 0, args_.weight.size(0));
    return found;
  }

  /// Each loss, or their sum (in double).
  Tensor loss(c10::string_view reduction) const {
    return reduction == "none" ? nll_ : nll_.sum(at::kDouble).to(at::kFloat);
  }
  Tensor n_valid() const { return args_.target.ne(args_.options.ignore_index).sum(); }

 private:
  /// The weight in the type of x, with rows of zeros behind it.
  Tensor filled_up(int64_t rows) const {
    const int64_t vocab = args_.weight.size(0);
    const Tensor weight = at::empty({rows, args_.weight.size(1)}, args_.x.options());
    weight.narrow(0, 0, vocab).copy_(args_.weight);
    weight.narrow(0, vocab, rows - vocab).zero_();
    return weight;
  }

  void row_pass(int64_t begin, const Tensor& logits, const Tensor& dlogits,
                const Tensor& scale) const {
    const int64_t rows = logits.size(0), vocab = args_.weight.size(0);
    kernels::CrossEntropyTile tile;
    tile.logits = view<2>(logits.narrow(1, 0, vocab));
    tile.target = view<1>(args_.target.narrow(0, begin, rows));
    tile.nll = view<1>(nll_.narrow(0, begin, rows));
    if (dlogits.defined()) tile.dlogits = view<2>(dlogits.narrow(1, 0, vocab));
    if (scale.defined()) tile.scale = view<1>(scale.narrow(0, begin, rows));
    tile.options = args_.options;
    constexpr const char* kOp = "linear_cross_entropy";
    check_answer(kOp, kernels_for(kOp, args_.x).cross_entropy_tile(tile, TorchWork(args_.x)));
  }

  Arguments args_;
  HeadNeeds needs_;
  Tensor weight_;  // (V rounded up, d)
  int64_t tile_;
  Tensor logits_, dlogits_;  // of one tile, (tile, V rounded up); one and the
                             // same where x is f32
  Tensor nll_;               // (T) f32
  HeadGradients gradients_;
};

Arguments checked_for_device(const Tensor& x, const Tensor& weight, const OptionalTensor& bias,
                             const Tensor& target, const kernels::CrossEntropyOptions& options,
                             c10::string_view reduction) {
  const Arguments args{x, weight, bias, target.contiguous(), options};
  args.check(reduction);
  TORCH_CHECK(x.scalar_type() != at::kDouble,
              "linear_cross_entropy: float64 is not taken on a device");
  return args;
}

std::tuple<Tensor, Tensor> linear_cross_entropy_cuda(const Tensor& x, const Tensor& weight,
                                                     const OptionalTensor& bias,
                                                     const Tensor& target, int64_t ignore_index,
                                                     double z_loss, double label_smoothing,
                                                     double softcap, c10::string_view reduction) {
  DeviceHead head(checked_for_device(x, weight, bias, target,
                                     {ignore_index, z_loss, label_smoothing, softcap}, reduction),
                  {});
  head.run();
  return {head.loss(reduction), head.n_valid()};
}

/// From the arguments alone, as of any operator.
std::vector<Tensor> linear_cross_entropy_backward_cuda(
    const OptionalTensor& grad_nll, const Tensor& x, const Tensor& weight,
    const OptionalTensor& bias, const Tensor& target, int64_t ignore_index, double z_loss,
    double label_smoothing, double softcap, c10::string_view reduction, std::array<bool, 4> needs) {
  DeviceHead head(checked_for_device(x, weight, bias, target,
                                     {ignore_index, z_loss, label_smoothing, softcap}, reduction),
                  {needs[0], needs[1], needs[2]});
  head.run(grad_nll->expand({x.size(0)}).contiguous());
  const HeadGradients found = head.gradients();
  std::vector<Tensor> gradients = {found.x, found.weight, found.bias, Tensor()};
  for (Tensor& gradient : gradients)
    if (gradient.defined())
      gradient = gradient.to(&gradient == &gradients[1] ? weight.scalar_type() : x.scalar_type());
  return gradients;
}

/// Keeps the gradients of the summed loss until its own gradient is known.
class ScaleGradients final : public torch::autograd::Node {
 public:
  /// `gradients` of the inputs, f32, undefined where none is wanted; `types`:
  /// of the inputs.
  ScaleGradients(std::vector<Tensor> gradients, std::vector<at::ScalarType> types)
      : gradients_(std::move(gradients)), types_(std::move(types)) {}

  std::string name() const override { return "adder::linear_cross_entropy_backward"; }

  void release_variables() override {
    gradients_.clear();
    released_ = true;
  }

  torch::autograd::variable_list apply(torch::autograd::variable_list&& outer) override {
    TORCH_CHECK(!at::GradMode::is_enabled(), name(), ": second derivatives are not provided");
    TORCH_CHECK(!released_, torch::autograd::ERR_BACKWARD_TWICE);
    torch::autograd::variable_list result(gradients_.size());
    if (!outer[0].defined()) return result;
    for (size_t i = 0; i < gradients_.size(); ++i)
      if (gradients_[i].defined()) result[i] = scaled(gradients_[i], outer[0]).to(types_[i]);
    return result;
  }

 private:
  /// In place where nobody will come again. (A product of lists: one with a
  /// scalar of the device is slow where the other factor is a tensor.)
  static Tensor scaled(const Tensor& gradient, const Tensor& factor) {
    if (torch::autograd::get_current_graph_task_keep_graph())
      return at::_foreach_mul({gradient}, factor)[0];
    at::_foreach_mul_({gradient}, factor);
    return gradient;
  }

  std::vector<Tensor> gradients_;
  std::vector<at::ScalarType> types_;
  bool released_ = false;
};

std::tuple<Tensor, Tensor> linear_cross_entropy_autograd_cuda(
    const Tensor& x, const Tensor& weight, const OptionalTensor& bias, const Tensor& target,
    int64_t ignore_index, double z_loss, double label_smoothing, double softcap,
    c10::string_view reduction) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("adder::linear_cross_entropy", "");
  std::vector<Tensor> inputs = {x, weight};
  if (bias) inputs.push_back(*bias);
  if (reduction != "sum" || !torch::autograd::compute_requires_grad(inputs)) {
    // A loss for each token has its own gradient: what to sum is not known yet.
    torch::jit::Stack stack = {x,      weight,          bias,    target,   ignore_index,
                               z_loss, label_smoothing, softcap, reduction};
    recompute_in_backward(op, &stack);
    return {stack[0].toTensor(), stack[1].toTensor()};
  }
  const at::AutoDispatchBelowADInplaceOrView below;
  DeviceHead head(checked_for_device(x, weight, bias, target,
                                     {ignore_index, z_loss, label_smoothing, softcap}, reduction),
                  {x.requires_grad(), weight.requires_grad(), bias && bias->requires_grad()});
  head.run();
  const HeadGradients found = head.gradients();
  std::vector<Tensor> gradients = {found.x, found.weight, found.bias};
  gradients.resize(inputs.size());
  std::vector<at::ScalarType> types;
  for (const Tensor& input : inputs) types.push_back(input.scalar_type());
  auto node = std::shared_ptr<ScaleGradients>(
      new ScaleGradients(std::move(gradients), std::move(types)), torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  const Tensor loss = head.loss(reduction);
  torch::autograd::set_history(loss, node);
  return {loss, head.n_valid()};
}

}  // namespace

TORCH_LIBRARY_IMPL(adder, CUDA, library) {
  library.impl("linear_cross_entropy", &linear_cross_entropy_cuda);
  library.impl("linear_cross_entropy_backward", &linear_cross_entropy_backward_cuda);
}

TORCH_LIBRARY_IMPL(adder, AutogradCUDA, library) {
  library.impl("linear_cross_entropy", &linear_cross_entropy_autograd_cuda);
}

}  // namespace adder::ops
