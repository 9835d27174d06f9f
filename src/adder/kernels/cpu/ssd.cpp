// The forward pass in chunks (mamba-core 1.5, "chunk form"): per chunk and head three products of
// small matrices, the scores C B^T shared by the heads of a group.
//
//   y_t  = e^{c_t} S_in C_t + sum_{s<=t} (C_t . B_s) e^{c_t - c_s} Delta_s x_s + D x_t
//   S_out = e^{c_end} S_in + sum_s e^{c_end - c_s} Delta_s x_s (outer) B_s
#include "adder/kernels/cpu/ssd.h"

#include "adder/kernels/cpu/ssd_chunk.h"

namespace adder::kernels::ADDER_ISA {
namespace {

/// Heads that take a chunk together: their states should stay in the second-level cache.
constexpr int64_t kHeadsAtOnce = 12;

struct Buffers {
  float *B, *B_t, *C_t, *scores, *weights, *x, *x_weighted, *skip, *states;

  static int64_t bytes(const Sizes& s) {
    return Scratch::bytes_for(kChunk * s.states) * 3 + Scratch::bytes_for(kChunk * kChunk) * 2 +
           Scratch::bytes_for(kChunk * s.columns) * 2 + Scratch::bytes_for(s.columns) +
           Scratch::bytes_for(s.state_floats() * kHeadsAtOnce);
  }
  Buffers(const Sizes& s, Scratch& scratch)
      : B(scratch.floats(kChunk * s.states)),
        B_t(scratch.floats(kChunk * s.states)),
        C_t(scratch.floats(kChunk * s.states)),
        scores(scratch.floats(kChunk * kChunk)),
        weights(scratch.floats(kChunk * kChunk)),
        x(scratch.floats(kChunk * s.columns)),
        x_weighted(scratch.floats(kChunk * s.columns)),
        skip(scratch.floats(s.columns)),
        states(scratch.floats(s.state_floats() * kHeadsAtOnce)) {}
};

template <typename E>
class Forward {
 public:
  Forward(const SsdInputs& in, const SsdOutputs& out, const Sizes& sizes, const Buffers& buffers)
      : in_(in), out_(out), s_(sizes), b_(buffers) {}

  /// Heads [first, last) of one group of one row.
  void run(int64_t batch, int64_t first, int64_t last) const {
    for (int64_t h = first; h < last; ++h)
      read_state(s_, in_.initial_state, batch, h, state(h - first));
    for (int64_t chunk = 0; chunk < s_.chunks; ++chunk) {
      Tokens t;
      set_tokens(in_, s_, batch, chunk, t);
      open_chunk(t, first / s_.heads_a_group);
      for (int64_t h = first; h < last; ++h) run_head(t, h, state(h - first));
    }
    for (int64_t h = first; h < last; ++h)
      write_state(s_, state(h - first), out_.final_state, batch, h);
  }

 private:
  float* state(int64_t i) const { return b_.states + i * s_.state_floats(); }

  void open_chunk(const Tokens& t, int64_t group) const {
    load_tile<E>(in_.C, t, group, b_.B, s_.states);
    transpose(b_.B, s_.states, t.rows, s_.states, b_.C_t, kChunk, t.rows);
    load_tile<E>(in_.B, t, group, b_.B, s_.states);
    transpose(b_.B, s_.states, t.rows, s_.states, b_.B_t, kChunk, t.rows);
    set_scores(t, s_.width, b_.B_t, b_.C_t, b_.scores);
  }

  void run_head(const Tokens& t, int64_t head, float* state) const {
    Steps steps;
    set_steps(in_, t, head, steps);
    load_tile<E>(in_.x, t, head, b_.x, s_.columns);
    for_decays(t, steps, [&](int64_t s, int64_t i, vf decay) {
      store(b_.weights + s * kChunk + i,
            decay == 0.0f ? vf{} : decay * steps.delta[s] * load(b_.scores + s * kChunk + i));
    });
    read_skip(s_, in_.D, head, b_.skip);
    const bool has_state = t.begin > 0 || in_.initial_state.data != nullptr;
    for_panels(s_.columns, [&]<int V>(int64_t col) {
      for (int64_t row = 0; row < t.count; row += kBlockRows)
        write_outputs<V>(t, steps, head, row, col, has_state ? state : nullptr);
    });
    if (t.begin + t.count == s_.length && out_.final_state.data == nullptr) return;
    for (int64_t i = 0; i < t.rows; ++i) steps.to_end[i] *= steps.delta[i];
    scale_rows(s_, t, steps.to_end, b_.x, b_.x_weighted);
    advance_state(s_, state, steps.whole, b_.B, b_.x_weighted, t.last_begin, t.count, state);
  }

  template <int V>
  ADDER_INLINE void write_outputs(const Tokens& t, const Steps& steps, int64_t head, int64_t row,
                                  int64_t col, const float* state) const {
    Block<V> y;
    clear(y);
    if (state != nullptr && row < t.first_end) {
      add_product(y, {b_.C_t, 1, kChunk}, row, state, s_.columns, col, 0, s_.width);
      for (int r = 0; r < kBlockRows; ++r)
        for (int v = 0; v < V; ++v) y.at[r][v] *= steps.from_start[row + r];
    }
    const int64_t end = row + kBlockRows < t.count ? row + kBlockRows : t.count;
    add_product(y, {b_.weights, 1, kChunk}, row, b_.x, s_.columns, col, t.start[row], end);
    alignas(64) float rows[kBlockRows][V * kLanes];
    spill(y, rows);
    for (int64_t r = 0; row + r < end; ++r) {
      const float* x = b_.x + (row + r) * s_.columns + col;
      E* to = row_of<E>(out_.y, t, row + r, head) + col;
      const int64_t left = s_.head_dim - col;
      for (int64_t p = 0; p < V * kLanes && p < left; p += kLanes) {
        vf value = load(rows[r] + p) + load(b_.skip + col + p) * load(x + p);
        if (in_.z.data != nullptr) value *= gate(t, row + r, head, col + p, left - p);
        store_up_to(to + p, value, left - p);
      }
    }
  }

  ADDER_INLINE vf gate(const Tokens& t, int64_t i, int64_t head, int64_t col, int64_t left) const {
    return t.real[i] ? silu(load_up_to(row_of<const E>(in_.z, t, i, head) + col, left)) : vf{};
  }

  const SsdInputs& in_;
  const SsdOutputs& out_;
  const Sizes& s_;
  const Buffers& b_;
};

template <typename E>
void run_all(const SsdInputs& in, const SsdOutputs& out, const Parallel& parallel) {
  const Sizes sizes = sizes_of(in);
  const auto body = [&](int64_t begin, int64_t end) {
    Scratch scratch(Buffers::bytes(sizes));
    const Buffers buffers(sizes, scratch);
    const Forward<E> forward(in, out, sizes, buffers);
    while (begin < end) {  // index of (row, head), cut where a group ends
      const int64_t batch = begin / sizes.heads, head = begin % sizes.heads;
      const int64_t in_group = sizes.heads_a_group - head % sizes.heads_a_group;
      int64_t count = in_group < end - begin ? in_group : end - begin;
      const int64_t pieces = (count + kHeadsAtOnce - 1) / kHeadsAtOnce;
      count = (count + pieces - 1) / pieces;
      forward.run(batch, head, head + count);
      begin += count;
    }
  };
  parallel.run(sizes.batch * sizes.heads, 1, body);
}

}  // namespace

void ssd(const SsdInputs& in, const SsdOutputs& out, const Parallel& parallel) {
  in.x.dtype == DType::bf16 ? run_all<bf16>(in, out, parallel) : run_all<float>(in, out, parallel);
}

}  // namespace adder::kernels::ADDER_ISA
