#include "adder/nn/softmax.h"

#include <ATen/ATen.h>

#include "adder/nn/operators.h"

namespace adder::nn {
namespace {

/// q (batch, queries, heads, head_dim), k and v (batch, keys, kv_heads, head_dim) -> as q
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const OptionalTensor& mask,
                 bool causal, double scale) {
  return at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                          mask, /*dropout_p=*/0, causal, scale,
                                          /*enable_gqa=*/q.size(2) != k.size(2))
      .transpose(1, 2);
}

/// How long each run of equal numbers in the rows of seq_idx (batch, length) is, row after row.
std::vector<int64_t> run_lengths(const Tensor& seq_idx) {
  const int64_t batch = seq_idx.size(0), length = seq_idx.size(1);
  const Tensor numbers = seq_idx.to(at::kCPU, at::kInt).contiguous();
  const auto* number = numbers.const_data_ptr<int32_t>();
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < batch * length; ++i) {
    if (i % length == 0 || number[i] != number[i - 1]) lengths.push_back(0);
    ++lengths.back();
  }
  return lengths;
}

}  // namespace

Softmax::Softmax(const model::SoftmaxSpec& spec, const model::LayerPlace& place,
                 const Parameters& parameters, const std::string& prefix)
    : spec_(spec),
      sizes_(spec.sizes(place.d_model)),
      in_proj_(parameters, prefix + "in_proj"),
      out_proj_(parameters, prefix + "out_proj"),
      conv_weight_(parameters.find(prefix + "conv1d.weight")),
      conv_bias_(parameters.find(prefix + "conv1d.bias")) {}

Tensor Softmax::forward(const Tensor& x, Context& context, State* carried) const {
  const int64_t batch = x.size(0), length = x.size(1), heads = sizes_.heads;
  const bool packed = context.seq_idx.defined();
  const bool resumed = carried != nullptr && !carried->empty();
  const auto parts = in_proj_(x).split_with_sizes({sizes_.qkv, spec_.d_mlp, spec_.d_mlp}, -1);

  Tensor qkv = parts[0], conv_end;
  if (conv_weight_) {
    OptionalTensor before, seq_idx;
    if (packed) seq_idx = context.seq_idx;
    if (resumed && spec_.d_conv > 1) before = (*carried)[2].to(x.scalar_type());
    std::tie(qkv, conv_end) =
        causal_conv1d(qkv, conv_weight_->squeeze(1), conv_bias_, before, seq_idx, /*silu=*/false);
  }

  const Tensor earlier =
      resumed ? carried->back() : at::empty({1, 0}, x.options().dtype(at::kLong));
  const Places queries = places_of(context.seq_idx, length, earlier);
  const Tensor all = qkv.unflatten(-1, {heads + 2 * sizes_.kv_heads, spec_.head_dim});
  const Tensor turned = rotate(all.narrow(2, 0, heads + sizes_.kv_heads), queries.position);
  const Tensor q = turned.narrow(2, 0, heads);  // (batch, length, heads, head_dim)
  Tensor k = turned.narrow(2, heads, sizes_.kv_heads);
  Tensor v = all.narrow(2, heads + sizes_.kv_heads, sizes_.kv_heads);
  context.probe("q", q);
  context.probe("k", k);
  context.probe("v", v);

  Places keys = queries;
  if (earlier.size(1) > 0) {
    const auto joined = [&](const Tensor& before, const Tensor& now) {
      return at::cat(
          {before.to(now.scalar_type()).view({batch, -1, now.size(2), now.size(3)}), now}, 1);
    };
    k = joined((*carried)[0], k);
    v = joined((*carried)[1], v);
    keys.position = at::cat({earlier, queries.position.expand({batch, length})}, 1);
    keys.document = at::cat({at::zeros_like(earlier), queries.document.expand({batch, length})}, 1);
  }
  Tensor y;
  if (earlier.size(1) > 0) {
    y = attention(q, k, v, visible(queries, keys), false, sizes_.scale);
  } else {
    y = packed ? attend_documents(q, k, v, context.seq_idx) : attend(q, k, v);
  }
  y = y.reshape({batch, length, sizes_.q});
  if (carried != nullptr) {
    *carried = state_after(k, v, keys, packed);
    if (spec_.d_conv > 1) carried->insert(carried->begin() + 2, conv_end);
  }

  if (spec_.d_mlp > 0) y = at::cat({y, parts[1] * at::silu(parts[2])}, -1);
  y = out_proj_(y);
  return packed ? y.masked_fill(context.seq_idx.lt(0).unsqueeze(-1), 0) : y;
}

Tensor Softmax::attend(const Tensor& q, const Tensor& k, const Tensor& v) const {
  const int64_t length = q.size(1);
  if (spec_.window == 0 || spec_.window >= length) {
    return attention(q, k, v, std::nullopt, /*causal=*/true, sizes_.scale);
  }
  const Tensor band =
      at::ones({length, length}, q.options().dtype(at::kBool)).tril().triu(1 - spec_.window);
  return attention(q, k, v, band, /*causal=*/false, sizes_.scale);
}

Tensor Softmax::attend_documents(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const Tensor& seq_idx) const {
  const std::vector<int64_t> lengths = run_lengths(seq_idx);
  const auto documents = [&](const Tensor& rows) {  // each (length, heads, head_dim)
    return rows.flatten(0, 1).split_with_sizes(lengths, 0);
  };
  const auto qs = documents(q), ks = documents(k), vs = documents(v);
  std::vector<Tensor> ys;
  for (size_t i = 0; i < lengths.size(); ++i) {
    ys.push_back(attend(qs[i].unsqueeze(0), ks[i].unsqueeze(0), vs[i].unsqueeze(0)).squeeze(0));
  }
  return at::cat(ys, 0);
}

Softmax::Places Softmax::places_of(const Tensor& seq_idx, int64_t length, const Tensor& earlier) {
  const Tensor time = at::arange(length, earlier.options()).unsqueeze(0);
  // Where the first document goes on from: (batch or 1, 1).
  const Tensor next = earlier.size(1) > 0 ? earlier.amax(1, /*keepdim=*/true) + 1
                                          : at::zeros({1, 1}, earlier.options());
  if (!seq_idx.defined())
    return {time + next, at::zeros({1, 1}, earlier.options()).expand_as(time)};
  const Tensor starts = at::zeros_like(seq_idx, at::kLong);
  if (length > 1) {
    starts.narrow(1, 1, length - 1)
        .copy_(seq_idx.narrow(1, 1, length - 1).ne(seq_idx.narrow(1, 0, length - 1)));
  }
  const Tensor number = starts.cumsum(1);
  const Tensor start = std::get<0>((starts * time).cummax(1));
  return {time - start + number.eq(0) * next, number.masked_fill(seq_idx.lt(0), -1)};
}

Tensor Softmax::rotate(const Tensor& heads, const Tensor& position) const {
  const int64_t dim = sizes_.rotary_dim;
  if (dim == 0) return heads;
  const auto type = heads.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto in_double = position.options().dtype(at::kDouble);
  const Tensor exponents = at::arange(0, dim, 2, in_double) / static_cast<double>(-dim);
  const Tensor angles =  // (batch or 1, length, 1, dim / 2)
      (position.to(at::kDouble).unsqueeze(-1) * at::pow(spec_.rotary_base, exponents)).unsqueeze(2);
  const Tensor c = angles.cos().to(type), s = angles.sin().to(type);

  const bool neighbours = spec_.rotary_interleaved;
  const Tensor turning = heads.narrow(-1, 0, dim).to(type);
  const auto pairs = neighbours ? turning.unflatten(-1, {dim / 2, 2}).unbind(-1)  // (2i, 2i + 1)
                                : turning.chunk(2, -1);                           // (i, i + dim/2)
  const std::vector<Tensor> turned = {pairs[0] * c - pairs[1] * s, pairs[0] * s + pairs[1] * c};
  const Tensor result = neighbours ? at::stack(turned, -1).flatten(-2) : at::cat(turned, -1);
  const Tensor rest = heads.narrow(-1, dim, spec_.head_dim - dim);
  return at::cat({result.to(heads.scalar_type()), rest}, -1);
}

Tensor Softmax::visible(const Places& queries, const Places& keys) const {
  const Tensor query = queries.position.unsqueeze(-1), key = keys.position.unsqueeze(-2);
  Tensor seen = key.le(query).logical_and_(key.ge(0));
  if (spec_.window > 0) seen.logical_and_(key.gt(query - spec_.window));
  // Padding sees padding: every query has a key, and what it gets is thrown away.
  seen = seen.logical_and(queries.document.unsqueeze(-1).eq(keys.document.unsqueeze(-2)));
  return seen.unsqueeze(1);
}

State Softmax::state_after(const Tensor& k, const Tensor& v, const Places& keys,
                           bool packed) const {
  const int64_t batch = k.size(0), count = k.size(1);
  Tensor position = keys.position.expand({batch, count});
  int64_t first = 0;  // the first key that anybody will see
  if (packed || spec_.window > 0) {
    // A row of nothing but padding stays in the document it came from.
    const Tensor last = keys.document.amax(1, /*keepdim=*/true).clamp_min(0);
    Tensor kept = keys.document.eq(last).logical_and(position.ge(0));
    if (spec_.window > 0) {
      const Tensor next = position.masked_fill(kept.logical_not(), -1).amax(1, true) + 1;
      kept = kept.logical_and(position.gt(next - spec_.window));
    }
    position = position.masked_fill(kept.logical_not(), -1);
    const Tensor columns = kept.any(0).nonzero();
    first = columns.size(0) > 0 ? columns[0].item<int64_t>() : count;
  }
  const auto trimmed = [&](const Tensor& rows) {
    return rows.narrow(1, first, count - first).reshape({batch, count - first, sizes_.kv});
  };
  return {trimmed(k), trimmed(v), position.narrow(1, first, count - first)};
}

}  // namespace adder::nn
