// The softmax mixer: causal attention with rotary positions, grouped queries and a sliding window
// (model/softmax_spec.h; mamba-core 2.5, "MHA").
#pragma once

#include "adder/model/softmax_spec.h"
#include "adder/nn/linear.h"
#include "adder/nn/mixer.h"

namespace adder::nn {

class Softmax final : public Mixer {
 public:
  Softmax(const model::SoftmaxSpec& spec, const model::LayerPlace& place,
          const Parameters& parameters, const std::string& prefix);
  /// The carried state has one array more than the spec, its last: the positions of the keys
  /// (batch, keys) i64, -1 for a key that nobody will see. (Under packing, the last documents of
  /// the rows are of unlike lengths.)
  Tensor forward(const Tensor& x, Context& context, State* carried) const override;

 private:
  /// Where tokens stand: i64 arrays (batch or 1, tokens).
  struct Places {
    Tensor position;  // within its document; of a carried key that nobody will see: -1
    Tensor document;  // which of its row, 0: the one that the carried state belongs to; -1: padding
  };
  /// What the projection, and the convolution if there is one, give.
  struct Parts {
    Tensor q;         // (batch, length, heads, head_dim)
    Tensor k, v;      // (batch, length, kv_heads, head_dim)
    Tensor up, gate;  // of the parallel MLP: (batch, length, d_mlp)
    Tensor conv_end;  // the convolution's state after x
  };
  Parts parts_of(const Tensor& x, const Context& context, const State* carried) const;
  static Places places_of(const Tensor& seq_idx, int64_t length, const Tensor& earlier);
  /// The first rotary_dim channels of every head (batch, length, heads, head_dim), turned.
  Tensor rotate(const Tensor& heads, const Tensor& position) const;
  /// Attention of rows that each hold one document from its beginning: q (batch, length, heads,
  /// head_dim), k and v with kv_heads -> as q. `band`: the mask of a window (band_of), if they are
  /// longer than it.
  Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& band) const;
  /// The same of longer rows than the window, in blocks of queries that each get only the keys of
  /// their windows: linear in the length.
  Tensor attend_window(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& band) const;
  /// The mask of a block of a row of `length` tokens: 0 where query i sees key j of those that end
  /// with its own, else -inf: (queries, window - 1 + queries) in the type of `like`. Nothing where
  /// all is seen.
  Tensor band_of(int64_t length, const Tensor& like) const;
  /// Attention of rows that hold several documents and padding: each document for itself, so that
  /// nobody scores what nobody sees. Padding gets 0.
  Tensor attend_documents(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& seq_idx,
                          const Tensor& band) const;
  /// Which keys each query sees, for a row that goes on: (batch or 1, 1, queries, keys) bool
  Tensor visible(const Places& queries, const Places& keys) const;
  /// The state after keys and values (batch, keys, kv_heads, head_dim), without what no later query
  /// will see.
  State state_after(const Tensor& k, const Tensor& v, const Places& keys, bool packed) const;

  model::SoftmaxSpec spec_;
  model::SoftmaxSpec::Sizes sizes_;
  Linear in_proj_, out_proj_;
  std::optional<Tensor> conv_weight_, conv_bias_;
};

}  // namespace adder::nn
