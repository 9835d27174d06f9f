// linear_cross_entropy: the language-model head and its loss in one, tile by tile (mamba-core 1.8).
// Tokens are taken in tiles; a tile's logits are one matrix product, live until its row pass is
// done, and are made again in the backward pass. Memory: one tile of logits, whatever the number of
// tokens.
#include "adder/ops/linear_cross_entropy.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>
#include <numeric>
#include <tuple>
#include <vector>

#include "adder/ops/product.h"

namespace adder::ops {

void LinearCrossEntropyArguments::check(c10::string_view reduction) const {
  const ArgumentCheck check("linear_cross_entropy", x);
  check.activation("x", x);
  check.shape("x", x, {-1, -1});
  check.shape("weight", weight, {-1, x.size(1)});
  check.that(weight.size(0) >= 1, "the vocabulary is empty");
  if (x.is_cpu() || weight.scalar_type() != at::kFloat)
    check.dtype("weight", weight, x.scalar_type());
  check.shape("target", target, {x.size(0)});
  check.dtype("target", target, at::kLong);
  if (bias)
    check.shape("bias", *bias, {weight.size(0)}), check.dtype("bias", *bias, x.scalar_type());
  check.that(reduction == "none" || reduction == "sum", "reduction must be \"none\" or \"sum\"");
}

namespace {

/// Tokens per tile: about 8 MB of fp32 logits, at least 16 rows so that the product stays
/// efficient.
int64_t tile_tokens(int64_t vocab) {
  return std::clamp<int64_t>((int64_t{2} << 20) / vocab, 16, 4096);
}

using Arguments = LinearCrossEntropyArguments;

/// The head in the type of the loss: from bf16 operands, fp32 logits. (Rounding a logit near 20 to
/// bf16 would move its token's loss by 0.06.)
class Head {
 public:
  explicit Head(const Arguments& args) : x_(args.x), weight_(args.weight.to(args.loss_type())) {
    if (args.bias) bias_ = args.bias->to(args.loss_type());
  }

  /// The logits of tokens [begin, begin + count), dense.
  Tensor logits(int64_t begin, int64_t count) const {
    const Tensor rows = x_.narrow(0, begin, count).to(weight_.scalar_type());
    return product(rows, weight_, bias_).contiguous();
  }

 private:
  Tensor x_, weight_;
  OptionalTensor bias_;
};

std::tuple<Tensor, Tensor> meta(const Tensor& x, const Tensor& weight, const OptionalTensor& bias,
                                const Tensor& target, int64_t ignore_index, double z_loss,
                                double label_smoothing, double softcap,
                                c10::string_view reduction) {
  const Arguments args{x, weight, bias, target, {ignore_index, z_loss, label_smoothing, softcap}};
  args.check(reduction);
  const auto options = x.options().dtype(args.loss_type());
  return {reduction == "none" ? at::empty({x.size(0)}, options) : at::empty({}, options),
          at::empty({}, x.options().dtype(at::kLong))};
}

/// The sum in double, from the first to the last: the same for any number of threads.
Tensor sum_in_order(const Tensor& nll) {
  const Tensor exact = nll.to(at::kDouble);
  const double* values = exact.const_data_ptr<double>();
  return at::full({}, std::accumulate(values, values + exact.numel(), 0.0), nll.options());
}

std::tuple<Tensor, Tensor> forward_cpu(const Tensor& x, const Tensor& weight,
                                       const OptionalTensor& bias, const Tensor& target,
                                       int64_t ignore_index, double z_loss, double label_smoothing,
                                       double softcap, c10::string_view reduction) {
  const Arguments args{
      x, weight, bias, target.contiguous(), {ignore_index, z_loss, label_smoothing, softcap}};
  args.check(reduction);
  const Tensor real = args.target.ne(ignore_index);
  TORCH_CHECK(args.target.masked_select(real)
                  .ge(0)
                  .logical_and(args.target.masked_select(real).lt(weight.size(0)))
                  .all()
                  .item<bool>(),
              "linear_cross_entropy: target holds a value that is neither ignore_index (",
              ignore_index, ") nor in [0, ", weight.size(0), ")");
  const Head head(args);
  const int64_t tokens = x.size(0), tile = tile_tokens(weight.size(0));
  const Tensor nll = at::empty({tokens}, x.options().dtype(args.loss_type()));
  for (int64_t begin = 0; begin < tokens; begin += tile) {
    const int64_t count = std::min(tile, tokens - begin);
    const Tensor logits = head.logits(begin, count);
    kernels::cross_entropy_rows(view<2>(logits), view<1>(args.target.narrow(0, begin, count)),
                                view<1>(nll.narrow(0, begin, count)), args.options, torch_pool());
  }
  return {reduction == "none" ? nll : sum_in_order(nll), real.sum()};
}

std::vector<Tensor> backward_cpu(const OptionalTensor& grad_nll, const Tensor& x,
                                 const Tensor& weight, const OptionalTensor& bias,
                                 const Tensor& target, int64_t ignore_index, double z_loss,
                                 double label_smoothing, double softcap, c10::string_view reduction,
                                 std::array<bool, 4> needs) {
  const Arguments args{
      x, weight, bias, target.contiguous(), {ignore_index, z_loss, label_smoothing, softcap}};
  const Head head(args);
  const int64_t tokens = x.size(0), tile = tile_tokens(weight.size(0));
  const Tensor scale =
      reduction == "none" ? grad_nll->contiguous() : grad_nll->expand({tokens}).contiguous();
  std::vector<Tensor> grads(4);
  const auto wide_options = x.options().dtype(args.loss_type());
  if (needs[0]) grads[0] = at::empty(x.sizes(), x.options());
  if (needs[1]) grads[1] = at::zeros(weight.sizes(), wide_options);
  if (needs[2]) grads[2] = at::zeros(bias->sizes(), wide_options);
  for (int64_t begin = 0; begin < tokens; begin += tile) {
    const int64_t count = std::min(tile, tokens - begin);
    const Tensor logits = head.logits(begin, count);
    kernels::cross_entropy_rows_backward(
        view<2>(logits), view<1>(args.target.narrow(0, begin, count)),
        view<1>(scale.narrow(0, begin, count)), args.options, torch_pool());
    const Tensor dlogits = logits.to(x.scalar_type());
    if (needs[0]) grads[0].narrow(0, begin, count).copy_(product(dlogits, weight.t()));
    if (needs[1]) grads[1].add_(product(dlogits.t(), x.narrow(0, begin, count).t()));
    if (needs[2]) grads[2].add_(logits.sum(0));
  }
  if (needs[1]) grads[1] = grads[1].to(weight.scalar_type());
  if (needs[2]) grads[2] = grads[2].to(bias->scalar_type());
  return grads;
}

}  // namespace

TORCH_LIBRARY_IMPL(adder, CPU, library) {
  library.impl("linear_cross_entropy", &forward_cpu);
  library.impl("linear_cross_entropy_backward", &backward_cpu);
}

TORCH_LIBRARY_IMPL(adder, Meta, library) {
  library.impl("linear_cross_entropy", &meta);
}

}  // namespace adder::ops
