#include "adder/nn/softmax.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "adder/model/softmax_window.h"
#include "adder/nn/operators.h"
#include "adder/ops/slices.h"

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

/// The runs of equal numbers in the rows of seq_idx (batch, length), row after row.
struct Runs {
  std::vector<int64_t> lengths;
  std::vector<bool> padding;
};

Runs runs_of(const Tensor& seq_idx) {
  const int64_t batch = seq_idx.size(0), length = seq_idx.size(1);
  const Tensor numbers = seq_idx.to(at::kCPU, at::kInt).contiguous();
  const auto* number = numbers.const_data_ptr<int32_t>();
  Runs runs;
  for (int64_t i = 0; i < batch * length; ++i) {
    if (i % length == 0 || number[i] != number[i - 1]) {
      runs.lengths.push_back(0);
      runs.padding.push_back(number[i] < 0);
    }
    ++runs.lengths.back();
  }
  return runs;
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
  const int64_t batch = x.size(0), length = x.size(1);
  const bool packed = context.seq_idx.defined();
  const bool resumed = carried != nullptr && !carried->empty();
  const Parts parts = parts_of(x, context, carried);
  const Tensor earlier =
      resumed ? carried->back() : at::empty({1, 0}, x.options().dtype(at::kLong));
  const Places queries = places_of(context.seq_idx, length, earlier);
  const Tensor q = rotate(parts.q, queries.position);  // (batch, length, heads, head_dim)
  Tensor k = rotate(parts.k, queries.position), v = parts.v;
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
    const Tensor band = band_of(length, q);
    y = packed ? attend_documents(q, k, v, context.seq_idx, band) : attend(q, k, v, band);
  }
  context.probe("y", y);
  y = y.reshape({batch, length, sizes_.q});
  if (carried != nullptr) {
    *carried = state_after(k, v, keys, packed);
    if (spec_.d_conv > 1) carried->insert(carried->begin() + 2, parts.conv_end);
  }

  if (spec_.d_mlp > 0) y = at::cat({y, swiglu(parts.up, parts.gate)}, -1);
  return out_proj_(y);
}

Softmax::Parts Softmax::parts_of(const Tensor& x, const Context& context,
                                 const State* carried) const {
  const int64_t d_mlp = spec_.d_mlp;
  const std::vector<int64_t> queries = {sizes_.heads, spec_.head_dim},
                             keys = {sizes_.kv_heads, spec_.head_dim};
  const Tensor projected = in_proj_(x);
  if (!conv_weight_) {
    const auto all = ops::slices(projected, {queries, keys, keys, {d_mlp}, {d_mlp}});
    return {all[0], all[1], all[2], all[3], all[4], {}};
  }
  const auto all = ops::slices(projected, {{sizes_.qkv}, {d_mlp}, {d_mlp}});
  OptionalTensor before, seq_idx;
  if (context.seq_idx.defined()) seq_idx = context.seq_idx;
  if (carried != nullptr && !carried->empty() && spec_.d_conv > 1)
    before = (*carried)[2].to(x.scalar_type());
  const auto [qkv, conv_end] =
      causal_conv1d(all[0], conv_weight_->squeeze(1), conv_bias_, before, seq_idx, /*silu=*/false);
  const auto heads = ops::slices(qkv, {queries, keys, keys});
  return {heads[0], heads[1], heads[2], all[1], all[2], conv_end};
}

Tensor Softmax::attend(const Tensor& q, const Tensor& k, const Tensor& v,
                       const Tensor& band) const {
  if (spec_.window > 0 && spec_.window < q.size(1)) return attend_window(q, k, v, band);
  return attention(q, k, v, std::nullopt, /*causal=*/true, sizes_.scale);
}

Tensor Softmax::band_of(int64_t length, const Tensor& like) const {
  if (spec_.window == 0 || spec_.window >= length) return {};
  const int64_t queries = std::min(length, model::window_block(spec_.window));
  const Tensor seen =
      at::ones({queries, spec_.window - 1 + queries}, like.options().dtype(at::kBool))
          .tril(spec_.window - 1)
          .triu();
  return at::zeros(seen.sizes(), like.options()).masked_fill_(seen.logical_not(), -INFINITY);
}

Tensor Softmax::attend_window(const Tensor& q, const Tensor& k, const Tensor& v,
                              const Tensor& band) const {
  const int64_t length = q.size(1), queries = model::window_block(spec_.window),
                tail = spec_.window - 1;
  // Cut once, each block into its first tokens and the `tail` that the next block sees too: the
  // gradient of a cut is one join, that of a view of all keys would be as long as they are.
  std::vector<int64_t> blocks, cuts;
  for (int64_t begin = 0; begin < length; begin += queries) {
    blocks.push_back(std::min(queries, length - begin));
    cuts.insert(cuts.end(), {std::min(queries - tail, length - begin),
                             std::clamp<int64_t>(length - begin - (queries - tail), 0, tail)});
  }
  const auto qs = q.split_with_sizes(blocks, 1);
  const auto ks = k.split_with_sizes(cuts, 1), vs = v.split_with_sizes(cuts, 1);
  const auto keys = [](const std::vector<Tensor>& parts, size_t block) {
    const size_t end = 2 * block + 2, begin = block == 0 ? 0 : end - 3;
    return at::cat(at::TensorList(parts).slice(begin, end - begin), 1);
  };
  std::vector<Tensor> ys;
  for (size_t block = 0; block < blocks.size(); ++block) {
    const Tensor block_keys = keys(ks, block);
    const int64_t first = block == 0 ? tail : 0;  // nothing is before the first block
    const Tensor mask = band.narrow(0, 0, blocks[block]).narrow(1, first, block_keys.size(1));
    ys.push_back(
        attention(qs[block], block_keys, keys(vs, block), mask, /*causal=*/false, sizes_.scale));
  }
  return at::cat(ys, 1);
}

Tensor Softmax::attend_documents(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const Tensor& seq_idx, const Tensor& band) const {
  const Runs runs = runs_of(seq_idx);
  const auto documents = [&](const Tensor& rows) {  // each (1, length, heads, head_dim)
    return rows.flatten(0, 1).unsqueeze(0).split_with_sizes(runs.lengths, 1);
  };
  const auto qs = documents(q), ks = documents(k), vs = documents(v);
  std::vector<Tensor> ys;
  for (size_t i = 0; i < runs.lengths.size(); ++i) {
    ys.push_back(runs.padding[i] ? at::zeros_like(qs[i]) : attend(qs[i], ks[i], vs[i], band));
  }
  return at::cat(ys, 1);  // the rows of the batch one after another
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
  if (sizes_.rotary_dim == 0) return heads;
  return rotary(heads, position, sizes_.rotary_dim, spec_.rotary_base, spec_.rotary_interleaved);
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
