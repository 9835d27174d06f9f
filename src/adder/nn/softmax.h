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
  static Places places_of(const Tensor& seq_idx, int64_t length, const Tensor& earlier);
  /// The first rotary_dim channels of every head (batch, length, heads, head_dim), turned.
  Tensor rotate(const Tensor& heads, const Tensor& position) const;
  /// Attention of rows that each hold one document from its beginning: q (batch, length, heads,
  /// head_dim), k and v with kv_heads -> as q.
  Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v) const;
  /// The same of rows that hold several: each for itself, so that no mask of length x length a row
  /// has to be kept, and nobody scores what nobody sees.
  Tensor attend_documents(const Tensor& q, const Tensor& k, const Tensor& v,
                          const Tensor& seq_idx) const;
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
