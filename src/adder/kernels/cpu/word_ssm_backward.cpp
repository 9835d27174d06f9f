// The backward pass of a tile: once forwards in time, for the states, the reads and what needs the
// states (dq, d decay), then once backwards for the rest (dk, dv, the initial state).
//
// d decay is taken forwards too, so that no state has to be kept for the way back: with U_t = d S_t
// / d decay = decay U_t-1 + S_t-1 it is the sum of q_t dR_t U_t, and of the final state's gradient
// times U of the last token.
#include "adder/kernels/cpu/word_ssm.h"
#include "adder/kernels/cpu/word_ssm_tile.h"
#include "adder/kernels/scratch.h"

namespace adder::kernels::ADDER_ISA {
namespace {

/// Sums over the places of each strip, to be added in the order of the strips.
struct Partials {
  float *q, *k;  // (strips, batch, length, columns)
  float* decay;  // (strips, batch, columns)
};

/// to[g] = the sum of sums[g] across lanes.
template <int G>
ADDER_INLINE void store_sums(float* to, const vf (&sums)[G]) {
  if constexpr (G == 4) {
    const vf4 four =
        sum_each(fold_add(sums[0]), fold_add(sums[1]), fold_add(sums[2]), fold_add(sums[3]));
    __builtin_memcpy(to, &four, sizeof four);
  } else {
    for (int g = 0; g < G; ++g) to[g] = sum(sums[g]);
  }
}

template <typename E, bool kDecay>
struct Backward {
  const WordSsmInputs& in;
  const WordSsmGradients& grads;
  const Partials& partials;

  template <int G, int V, bool kWhole>
  void run(const WordTile& tile) const {
    forwards<G, V, kWhole>(tile);
    backwards<G, V, kWhole>(tile);
  }

 private:
  /// Of token t, or of the whole row when there is one number for each column.
  float* partial(float* from, const WordTile& tile, int64_t rows, int64_t row) const {
    const int64_t strip = tile.i / kStrip, batch = in.q.size[0], columns = in.q.size[2];
    return from + ((strip * batch + tile.b) * rows + row) * columns + tile.n;
  }

  template <int G, int V, bool kWhole>
  void forwards(const WordTile& tile) const {
    const WordDocuments documents(in.seq_idx, tile.b);
    const float* decay = static_cast<const float*>(in.decay.data) + tile.n;
    const int64_t length = in.q.size[1];
    vf state[G][V], slope[G][V], grad_decay[G] = {};
    load_state<G, V, kWhole>(in.initial_state, tile, state);
    set_zero(slope);
    for (int64_t t = 0; t < length; ++t) {
      const WordToken kind = documents.kind(t);
      if (kind == WordToken::kPadding) {
        skip<G, V, kWhole>(tile, t);
        continue;
      }
      if (kind == WordToken::kFirst) set_zero(state), set_zero(slope);
      const E* q = place<const E>(in.q, tile.b, t, tile.n);
      const E* k = place<const E>(in.k, tile.b, t, tile.n);
      vf v[V], grad_q[G] = {};
      load_places<V, kWhole>(place<const E>(in.v, tile.b, t, tile.i), tile.count, v);
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        vf grad_reads[V], reads[V];
        load_places<V, kWhole>(place<const E>(grads.grad_reads, tile.b, t, tile.n + g, tile.i),
                               tile.count, grad_reads);
#pragma GCC unroll 4
        for (int j = 0; j < V; ++j) {
          if (kDecay) slope[g][j] = decay[g] * slope[g][j] + state[g][j];
          state[g][j] = decay[g] * state[g][j] + widen(k[g]) * v[j];
          reads[j] = widen(q[g]) * state[g][j];
          grad_q[g] += grad_reads[j] * state[g][j];
          if (kDecay) grad_decay[g] += widen(q[g]) * grad_reads[j] * slope[g][j];
        }
        if (grads.reads.data != nullptr)
          store_places<V, kWhole>(place<E>(grads.reads, tile.b, t, tile.n + g, tile.i), tile.count,
                                  reads);
      }
      store_sums(partial(partials.q, tile, length, t), grad_q);
    }
    if (!kDecay) return;
    vf last[G][V];
    load_state<G, V, kWhole>(grads.grad_final_state, tile, last);
    for (int g = 0; g < G; ++g)
      for (int j = 0; j < V; ++j) grad_decay[g] += last[g][j] * slope[g][j];
    store_sums(partial(partials.decay, tile, 1, 0), grad_decay);
  }

  template <int G, int V, bool kWhole>
  void backwards(const WordTile& tile) const {
    const WordDocuments documents(in.seq_idx, tile.b);
    constexpr float ones[kGroup] = {1, 1, 1, 1};
    const float* const decay = static_cast<const float*>(in.decay.data) + tile.n;
    const float* factor = ones;  // what the gradient of the state meets on its way to token t
    vf grad[G][V];
    load_state<G, V, kWhole>(grads.grad_final_state, tile, grad);
    for (int64_t t = in.q.size[1] - 1; t >= 0; --t) {
      const WordToken kind = documents.kind(t);
      if (kind == WordToken::kPadding) continue;
      const E* q = place<const E>(in.q, tile.b, t, tile.n);
      const E* k = place<const E>(in.k, tile.b, t, tile.n);
      vf v[V], grad_v[V] = {}, grad_k[G] = {};
      load_places<V, kWhole>(place<const E>(in.v, tile.b, t, tile.i), tile.count, v);
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        vf grad_reads[V];
        load_places<V, kWhole>(place<const E>(grads.grad_reads, tile.b, t, tile.n + g, tile.i),
                               tile.count, grad_reads);
#pragma GCC unroll 4
        for (int j = 0; j < V; ++j) {
          grad[g][j] = factor[g] * grad[g][j] + widen(q[g]) * grad_reads[j];
          grad_k[g] += grad[g][j] * v[j];
          grad_v[j] += widen(k[g]) * grad[g][j];
        }
      }
      store_sums(partial(partials.k, tile, in.q.size[1], t), grad_k);
      if (grads.grad_v.data != nullptr) {
        vf total[V];
        float* to = place<float>(grads.grad_v, tile.b, t, tile.i);
        load_places<V, kWhole>(to, tile.count, total);
        for (int j = 0; j < V; ++j) total[j] += grad_v[j];
        store_places<V, kWhole>(to, tile.count, total);
      }
      factor = decay;
      if (kind == WordToken::kFirst) set_zero(grad);
    }
    for (int g = 0; g < G; ++g)
      for (int j = 0; j < V; ++j) grad[g][j] *= factor[g];
    store_state<G, V, kWhole>(grads.grad_initial_state, tile, grad);
  }

  /// Padding: zeros.
  template <int G, int V, bool kWhole>
  void skip(const WordTile& tile, int64_t t) const {
    const vf zeros[V] = {};
    for (int g = 0; g < G; ++g) {
      partial(partials.q, tile, in.q.size[1], t)[g] = 0;
      partial(partials.k, tile, in.q.size[1], t)[g] = 0;
      if (grads.reads.data != nullptr)
        store_places<V, kWhole>(place<E>(grads.reads, tile.b, t, tile.n + g, tile.i), tile.count,
                                zeros);
    }
  }
};

/// to[..., n] = the sum over the strips of from (strips, batch, length, columns).
template <typename E>
void add_strips(const float* from, const View<3>& to, int64_t strips, const Parallel& parallel) {
  if (to.data == nullptr) return;
  const int64_t batch = to.size[0], length = to.size[1], columns = to.size[2];
  parallel.run(batch * length, 1 + kSmallestShare / (strips * columns),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   E* place_of_row = place<E>(to, row / length, row % length, 0);
                   for (int64_t n = 0; n < columns; ++n) {
                     float total = 0;
                     for (int64_t s = 0; s < strips; ++s)
                       total += from[(s * batch * length + row) * columns + n];
                     narrow(total, place_of_row + n);
                   }
                 }
               });
}

template <typename E>
void run_all(const WordSsmInputs& in, const WordSsmGradients& grads, const Parallel& parallel) {
  const int64_t batch = in.q.size[0], length = in.q.size[1], columns = in.q.size[2];
  const int64_t strips = strips_of(in.v.size[2]);
  const int64_t each = strips * batch * length * columns, each_row = strips * batch * columns;
  Scratch scratch(2 * Scratch::bytes_for(each) + Scratch::bytes_for(each_row));
  const Partials partials{scratch.floats(each), scratch.floats(each), scratch.floats(each_row)};
  if (grads.grad_decay.data != nullptr)
    for_units(in, parallel, Backward<E, true>{in, grads, partials});
  else
    for_units(in, parallel, Backward<E, false>{in, grads, partials});
  add_strips<E>(partials.q, grads.grad_q, strips, parallel);
  add_strips<E>(partials.k, grads.grad_k, strips, parallel);
  for (int64_t n = 0; n < columns && grads.grad_decay.data != nullptr; ++n) {
    float total = 0;
    for (int64_t row = 0; row < strips * batch; ++row) total += partials.decay[row * columns + n];
    static_cast<float*>(grads.grad_decay.data)[n * grads.grad_decay.stride[0]] = total;
  }
}

}  // namespace

void word_ssm_backward(const WordSsmInputs& in, const WordSsmGradients& grads,
                       const Parallel& parallel) {
  in.q.dtype == DType::bf16 ? run_all<bf16>(in, grads, parallel)
                            : run_all<float>(in, grads, parallel);
}

}  // namespace adder::kernels::ADDER_ISA
