#include "adder/kernels/cpu/word_ssm.h"

#include "adder/kernels/cpu/word_ssm_tile.h"

namespace adder::kernels::ADDER_ISA {
namespace {

template <typename E>
struct Reader {
  const WordSsmInputs& in;
  const WordSsmOutputs& out;

  template <int G, int V, bool kWhole>
  void run(const WordTile& tile) const {
    const WordDocuments documents(in.seq_idx, tile.b);
    const float* decay = static_cast<const float*>(in.decay.data) + tile.n;
    vf state[G][V];
    load_state<G, V, kWhole>(in.initial_state, tile, state);
    for (int64_t t = 0; t < in.q.size[1]; ++t) {
      E* to = place<E>(out.reads, tile.b, t, tile.n, tile.i);
      const WordToken kind = documents.kind(t);
      if (kind == WordToken::kPadding) {
        const vf zeros[V] = {};
        for (int g = 0; g < G; ++g)
          store_places<V, kWhole>(to + g * out.reads.stride[2], tile.count, zeros);
        continue;
      }
      if (kind == WordToken::kFirst) set_zero(state);
      const E* q = place<const E>(in.q, tile.b, t, tile.n);
      const E* k = place<const E>(in.k, tile.b, t, tile.n);
      vf v[V];
      load_places<V, kWhole>(place<const E>(in.v, tile.b, t, tile.i), tile.count, v);
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        vf reads[V];
#pragma GCC unroll 4
        for (int j = 0; j < V; ++j) {
          state[g][j] = decay[g] * state[g][j] + widen(k[g]) * v[j];
          reads[j] = widen(q[g]) * state[g][j];
        }
        store_places<V, kWhole>(to + g * out.reads.stride[2], tile.count, reads);
      }
    }
    store_state<G, V, kWhole>(out.final_state, tile, state);
  }
};

}  // namespace

void word_ssm(const WordSsmInputs& in, const WordSsmOutputs& out, const Parallel& parallel) {
  if (in.q.dtype == DType::bf16)
    for_units(in, parallel, Reader<bf16>{in, out});
  else
    for_units(in, parallel, Reader<float>{in, out});
}

}  // namespace adder::kernels::ADDER_ISA
