#include "adder/eval/bench_peers.h"

#include <ATen/ATen.h>

#include <limits>
#include <vector>

namespace adder::eval {
namespace {

/// RMS norm over the last dimension, computed in fp32 and rounded to the type of x.
Tensor plain_norm(const Tensor& x, const Tensor& weight, double eps) {
  const Tensor wide = x.to(at::kFloat);
  return wide * (wide.square().mean(-1, true) + eps).rsqrt() * weight;
}

}  // namespace

std::pair<Tensor, Tensor> plain_ssd(const Tensor& x, const Tensor& dt, const Tensor& A,
                                    const Tensor& B, const Tensor& C, const Tensor& D,
                                    const Tensor& dt_bias, int64_t chunk) {
  const int64_t batch = x.size(0), length = x.size(1), heads = x.size(2), head_dim = x.size(3);
  const int64_t state = B.size(3), chunks = length / chunk;
  const Tensor step = at::softplus(dt.to(at::kFloat) + dt_bias);  // (batch, length, heads)
  const Tensor wide_x = x.to(at::kFloat);
  // c_t: the running sum of Delta A inside a chunk. (batch, chunks, heads, chunk)
  const Tensor c = (step * A).view({batch, chunks, chunk, heads}).permute({0, 1, 3, 2}).cumsum(-1);
  const Tensor values = (wide_x * step.unsqueeze(-1)).view({batch, chunks, chunk, heads, head_dim});
  const Tensor by_head =
      values.permute({0, 1, 3, 2, 4});  // (batch, chunks, heads, chunk, head_dim)
  const Tensor keys = B.to(at::kFloat).reshape({batch, chunks, chunk, state});
  const Tensor queries = C.to(at::kFloat).reshape({batch, chunks, chunk, state});

  // Inside the chunks.
  const Tensor later = at::ones({chunk, chunk}, at::kBool).triu(1);
  const Tensor decay = (c.unsqueeze(-1) - c.unsqueeze(-2))
                           .masked_fill(later, -std::numeric_limits<double>::infinity())
                           .exp();  // (batch, chunks, heads, chunk, chunk)
  const Tensor scores = at::matmul(queries, keys.transpose(-1, -2)).unsqueeze(2);
  const Tensor inside = at::matmul(scores * decay, by_head);

  // What each chunk adds to the state, for all heads in one product.
  const Tensor to_end = (c.narrow(-1, chunk - 1, 1) - c).exp().permute({0, 1, 3, 2}).unsqueeze(-1);
  const Tensor added =
      at::matmul(keys.transpose(-1, -2),
                 (values * to_end).reshape({batch, chunks, chunk, heads * head_dim}))
          .view({batch, chunks, state, heads, head_dim});

  // From chunk to chunk.
  const Tensor whole = c.select(-1, chunk - 1).exp();  // (batch, chunks, heads)
  Tensor carried = at::zeros({batch, state, heads, head_dim});
  std::vector<Tensor> before;
  for (int64_t i = 0; i < chunks; ++i) {
    before.push_back(carried);
    carried = carried * whole.select(1, i).unsqueeze(1).unsqueeze(-1) + added.select(1, i);
  }
  const Tensor states = at::stack(before, 1).reshape({batch, chunks, state, heads * head_dim});
  const Tensor across = at::matmul(queries, states).view({batch, chunks, chunk, heads, head_dim}) *
                        c.exp().permute({0, 1, 3, 2}).unsqueeze(-1);
  const Tensor y =
      (inside.permute({0, 1, 3, 2, 4}) + across).reshape(x.sizes()) + wide_x * D.unsqueeze(-1);
  return {y.to(x.scalar_type()), carried.permute({0, 2, 3, 1})};
}

std::pair<Tensor, Tensor> plain_selective_scan(const Tensor& u, const Tensor& delta,
                                               const Tensor& A, const Tensor& B, const Tensor& C,
                                               const Tensor& D, const Tensor& delta_bias) {
  const Tensor wide_u = u.to(at::kFloat), keys = B.to(at::kFloat), queries = C.to(at::kFloat);
  const Tensor step = at::softplus(delta.to(at::kFloat) + delta_bias);
  const Tensor input = step * wide_u;
  Tensor state = at::zeros({u.size(0), u.size(2), A.size(1)});
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < u.size(1); ++t) {
    const Tensor decay = (step.select(1, t).unsqueeze(-1) * A).exp();  // (batch, channels, state)
    state = decay * state + input.select(1, t).unsqueeze(-1) * keys.select(1, t);
    rows.push_back(at::matmul(state, queries.select(1, t).transpose(1, 2)).squeeze(-1));
  }
  return {(at::stack(rows, 1) + D * wide_u).to(u.scalar_type()), state};
}

std::pair<Tensor, Tensor> plain_word_ssm(const Tensor& q, const Tensor& k, const Tensor& v,
                                         const Tensor& decay, const Tensor& weight,
                                         const Tensor& bias) {
  const auto type = q.scalar_type();
  const Tensor queries = q.to(at::kFloat), keys = k.to(at::kFloat), values = v.to(at::kFloat);
  Tensor state = at::zeros({q.size(0), q.size(2), v.size(2)});
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < q.size(1); ++t) {
    const Tensor added = keys.select(1, t).unsqueeze(2) * values.select(1, t).unsqueeze(1);
    state = decay.unsqueeze(1) * state + added;  // (batch, columns, width)
    rows.push_back((queries.select(1, t).unsqueeze(2) * state).to(type).flatten(1));
  }
  return {at::linear(at::stack(rows, 1), weight.to(type), bias.to(type)), state};
}

Tensor plain_causal_conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const int64_t channels = x.size(2), width = weight.size(1);
  const Tensor full = at::conv1d(x.transpose(1, 2), weight.unsqueeze(1).to(x.scalar_type()),
                                 bias.to(x.scalar_type()), 1, width - 1, 1, channels);
  return at::silu(full.narrow(2, 0, x.size(1))).transpose(1, 2);
}

std::pair<Tensor, Tensor> plain_rms_norm(const Tensor& x, const Tensor& weight, double eps,
                                         const Tensor& residual) {
  const Tensor sum = x + residual;
  return {plain_norm(sum, weight, eps).to(x.scalar_type()), sum};
}

Tensor plain_gated_rms_norm(const Tensor& x, const Tensor& weight, const Tensor& z, double eps) {
  return plain_norm(x * at::silu(z), weight, eps).to(x.scalar_type());
}

Tensor plain_linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& target) {
  const Tensor logits = at::linear(x, weight).to(at::kFloat);
  return at::cross_entropy_loss(logits, target, {}, at::Reduction::Sum);
}

Tensor plain_ssd_update(Tensor& state, const Tensor& x, const Tensor& dt, const Tensor& A,
                        const Tensor& B, const Tensor& C, const Tensor& D, const Tensor& dt_bias) {
  const Tensor step = at::softplus(dt + dt_bias);  // (batch, heads)
  const Tensor decay = (step * A).exp().unsqueeze(-1).unsqueeze(-1);
  const Tensor added = (x * step.unsqueeze(-1)).unsqueeze(-1) * B.unsqueeze(2);
  state = state * decay + added;  // (batch, heads, head_dim, state)
  return (state * C.unsqueeze(2)).sum(-1) + x * D.unsqueeze(-1);
}

}  // namespace adder::eval
