// word_ssm: the state of kernels/word_ssm.h and the matrix that mixes its reads into the output,
//
//   z_t[o] = bias[o] + sum over n, i of weight[o, n * width + i] q_t[n] S_t[n,i]
//
// The reads of all tokens would be batch * length * columns * width numbers, so they are made for a
// block of columns n at a time; each block goes into one matrix product, and the products are added
// up. The backward pass makes them again: three products for each block in all, as in plain
// tensors.
#include "adder/kernels/word_ssm.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

#include "adder/ops/product.h"
#include "adder/ops/view.h"

namespace adder::ops {

namespace {

/// Of the reads of one block: large enough that adding the products up costs little beside them,
/// and below what the allocator takes anew from the system, page by page, each time (32 MB).
constexpr int64_t kBlockBytes = int64_t{24} << 20;

/// Columns [begin, begin + count) of the state.
struct Block {
  int64_t begin, count;
  Tensor of(const Tensor& tensor, int64_t dim) const { return tensor.narrow(dim, begin, count); }
};

/// The arguments of word_ssm in the order of its schema, made fit for the kernels.
struct WordSsmArguments {
  Tensor q, k, v, decay, weight;
  OptionalTensor bias, initial_state, seq_idx;

  int64_t tokens() const { return q.size(0) * q.size(1); }
  int64_t columns() const { return q.size(2); }
  int64_t width() const { return v.size(2); }
  int64_t outputs() const { return weight.size(0); }
  at::ScalarType type() const { return q.scalar_type(); }
  std::vector<int64_t> state_sizes() const { return {q.size(0), columns(), width()}; }

  void check(const ArgumentCheck& check) const;
  void make_dense();
  std::vector<Block> blocks() const;
  kernels::WordSsmInputs inputs(const Block& block) const;
  /// (batch, length, count, width) at the start of `memory`.
  Tensor reads_of(const Block& block, const Tensor& memory) const;
  /// Room for the reads of the largest block.
  Tensor empty_reads() const;
  /// (outputs, count * width) in the type of q, dense: oneDNN multiplies slices a hundred times
  /// slower.
  Tensor weight_of(const Block& block) const;
  /// (tokens, 1): which rows are padding; not given when none can be.
  OptionalTensor padding() const;
};

void WordSsmArguments::check(const ArgumentCheck& check) const {
  check.activation("q", q);
  check.shape("q", q, {-1, -1, -1});
  const int64_t batch = q.size(0), length = q.size(1);
  check.shape("k", k, q.sizes());
  check.shape("v", v, {batch, length, -1});
  check.that(length >= 1 && columns() >= 1 && width() >= 1, "a dimension of q or v is 0");
  check.shape("decay", decay, {columns()});
  check.shape("weight", weight, {-1, columns() * width()});
  check.that(weight.size(0) >= 1, "weight has no row");
  check.dtype("k", k, type());
  check.dtype("v", v, type());
  check.dtype("decay", decay, wide(type()));
  check.that(weight.scalar_type() == type() || weight.scalar_type() == wide(type()),
             "weight must have the type of q, or that of decay");
  if (bias)
    check.shape("bias", *bias, {outputs()}), check.dtype("bias", *bias, weight.scalar_type());
  if (initial_state) {
    check.shape("initial_state", *initial_state, state_sizes());
    check.dtype("initial_state", *initial_state, wide(type()));
  }
  if (seq_idx)
    check.shape("seq_idx", *seq_idx, {batch, length}), check.dtype("seq_idx", *seq_idx, at::kInt);
}

void WordSsmArguments::make_dense() {
  q = last_contiguous(q);
  k = last_contiguous(k);
  v = last_contiguous(v);
  decay = decay.contiguous();
  initial_state = contiguous(initial_state);
  seq_idx = contiguous(seq_idx);
}

std::vector<Block> WordSsmArguments::blocks() const {
  const int64_t column_bytes = tokens() * width() * static_cast<int64_t>(q.element_size());
  const int64_t most =
      std::clamp<int64_t>(kBlockBytes / std::max<int64_t>(column_bytes, 1), 1, columns());
  std::vector<Block> blocks;
  for (int64_t begin = 0; begin < columns(); begin += most)
    blocks.push_back({begin, std::min(most, columns() - begin)});
  return blocks;
}

kernels::WordSsmInputs WordSsmArguments::inputs(const Block& block) const {
  kernels::WordSsmInputs in;
  in.q = view<3>(block.of(q, 2));
  in.k = view<3>(block.of(k, 2));
  in.v = view<3>(v);
  in.decay = view<1>(block.of(decay, 0));
  if (initial_state) in.initial_state = view<3>(block.of(*initial_state, 1));
  in.seq_idx = view<2>(seq_idx);
  return in;
}

Tensor WordSsmArguments::empty_reads() const {
  return at::empty({tokens() * blocks()[0].count * width()}, q.options());
}

Tensor WordSsmArguments::reads_of(const Block& block, const Tensor& memory) const {
  return memory.view(-1)
      .narrow(0, 0, tokens() * block.count * width())
      .view({q.size(0), q.size(1), block.count, width()});
}

Tensor WordSsmArguments::weight_of(const Block& block) const {
  return weight.narrow(1, block.begin * width(), block.count * width()).to(type());
}

OptionalTensor WordSsmArguments::padding() const {
  return seq_idx ? OptionalTensor(seq_idx->lt(0).view({-1, 1})) : std::nullopt;
}

/// Every output poisoned or empty: z (batch, length, outputs), final_state.
std::tuple<Tensor, Tensor> empty_outputs(const WordSsmArguments& args) {
  return {at::empty({args.q.size(0), args.q.size(1), args.outputs()}, args.q.options()),
          at::empty(args.state_sizes(), args.q.options().dtype(wide(args.type())))};
}

std::tuple<Tensor, Tensor> word_ssm_meta(const Tensor& q, const Tensor& k, const Tensor& v,
                                         const Tensor& decay, const Tensor& weight,
                                         const OptionalTensor& bias,
                                         const OptionalTensor& initial_state,
                                         const OptionalTensor& seq_idx) {
  const WordSsmArguments args{q, k, v, decay, weight, bias, initial_state, seq_idx};
  args.check(ArgumentCheck("word_ssm", args.q));
  return empty_outputs(args);
}

std::tuple<Tensor, Tensor> word_ssm_cpu(const Tensor& q, const Tensor& k, const Tensor& v,
                                        const Tensor& decay, const Tensor& weight,
                                        const OptionalTensor& bias,
                                        const OptionalTensor& initial_state,
                                        const OptionalTensor& seq_idx) {
  WordSsmArguments args{q, k, v, decay, weight, bias, initial_state, seq_idx};
  args.check(ArgumentCheck("word_ssm", args.q));
  args.make_dense();
  auto [z, final_state] = empty_outputs(args);
  const auto sum_options = args.q.options().dtype(wide(args.type()));
  const Tensor sum = bias ? bias->to(wide(args.type())).repeat({args.tokens(), 1})
                          : at::zeros({args.tokens(), args.outputs()}, sum_options);
  const Tensor memory = args.empty_reads();
  for (const Block& block : args.blocks()) {
    const Tensor reads = args.reads_of(block, memory);
    kernels::word_ssm(args.inputs(block), {view<4>(reads), view<3>(block.of(final_state, 1))},
                      torch_pool());
    sum.add_(product(reads.view({args.tokens(), -1}), args.weight_of(block)));
  }
  if (const OptionalTensor padding = args.padding()) sum.masked_fill_(*padding, 0);
  z.view({args.tokens(), -1}).copy_(sum);
  return {z, final_state};
}

std::vector<Tensor> word_ssm_backward_cpu(const OptionalTensor& grad_z,
                                          const OptionalTensor& grad_final_state, const Tensor& q,
                                          const Tensor& k, const Tensor& v, const Tensor& decay,
                                          const Tensor& weight, const OptionalTensor& bias,
                                          const OptionalTensor& initial_state,
                                          const OptionalTensor& seq_idx,
                                          std::array<bool, 8> needs) {
  WordSsmArguments args{q, k, v, decay, weight, bias, initial_state, seq_idx};
  args.make_dense();
  Tensor gz = grad_z ? grad_z->reshape({args.tokens(), -1})
                     : at::zeros({args.tokens(), args.outputs()}, args.q.options());
  if (const OptionalTensor padding = args.padding()) gz = gz.masked_fill(*padding, 0);
  const Tensor gz_rows = gz.t().contiguous();  // (outputs, tokens)
  const OptionalTensor gs = contiguous(grad_final_state);
  // In the order of the schema's tensors: q k v decay weight bias initial_state seq_idx.
  const OptionalTensor inputs[] = {q, k, v, decay, weight, bias, initial_state};
  std::vector<Tensor> grads(8);
  for (const size_t i : {0, 1, 3, 4, 6})
    if (needs[i]) grads[i] = at::empty(inputs[i]->sizes(), inputs[i]->options());
  const Tensor gv =
      needs[2] ? at::zeros(v.sizes(), v.options().dtype(wide(args.type()))) : Tensor();
  if (needs[5]) grads[5] = gz.sum(0, false, wide(args.type())).to(bias->scalar_type());
  const Tensor memory = needs[4] ? args.empty_reads() : Tensor();
  for (const Block& block : args.blocks()) {
    // Made dense: oneDNN takes the transpose of this in bf16 at half the speed.
    const Tensor grad_reads = product(gz, args.weight_of(block).t().contiguous());
    const Tensor reads = needs[4] ? args.reads_of(block, memory) : Tensor();
    const auto part = [&](size_t i, int64_t dim) {
      return needs[i] ? block.of(grads[i], dim) : Tensor();
    };
    kernels::WordSsmGradients out;
    out.grad_reads = view<4>(args.reads_of(block, grad_reads));
    if (gs) out.grad_final_state = view<3>(block.of(*gs, 1));
    out.reads = view<4>(reads);
    out.grad_q = view<3>(part(0, 2));
    out.grad_k = view<3>(part(1, 2));
    out.grad_v = view<3>(gv);
    out.grad_decay = view<1>(part(3, 0));
    out.grad_initial_state = view<3>(part(6, 1));
    kernels::word_ssm_backward(args.inputs(block), out, torch_pool());
    if (!needs[4]) continue;
    grads[4]
        .narrow(1, block.begin * args.width(), block.count * args.width())
        .copy_(product(gz_rows, reads.view({args.tokens(), -1}).t()));
  }
  if (needs[2]) grads[2] = gv.to(args.type());
  return grads;
}

}  // namespace

TORCH_LIBRARY_IMPL(adder, CPU, library) {
  library.impl("word_ssm", &word_ssm_cpu);
  library.impl("word_ssm_backward", &word_ssm_backward_cpu);
}

TORCH_LIBRARY_IMPL(adder, Meta, library) {
  library.impl("word_ssm", &word_ssm_meta);
}

}  // namespace adder::ops
