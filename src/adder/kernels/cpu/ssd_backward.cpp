// The backward pass in chunks (mamba-core 1.5, "Backward"). A unit of work is a fixed block of
// heads of one group and row: it makes the states before each chunk again, then sweeps the chunks
// in reverse. The scores' gradient Z is summed over the block's heads before it meets B and C. Each
// block writes its own dB and dC, and each (row, head) its own sums; they are added afterwards in
// order (ssd_gradients.h).
#include "adder/kernels/cpu/ssd.h"
#include "adder/kernels/cpu/ssd_gradients.h"
#include "adder/kernels/cpu/ssd_head_backward.h"

namespace adder::kernels::ADDER_ISA {
namespace {

template <typename E>
class Backward {
 public:
  Backward(const SsdInputs& in, const SsdGradients& grads, const Sizes& sizes, const Blocks& blocks,
           const Partials& partials, Scratch& scratch)
      : in_(in),
        grads_(grads),
        s_(sizes),
        blocks_(blocks),
        partials_(partials),
        b_(sizes, scratch),
        states_(scratch.floats(blocks.heads * sizes.chunks * sizes.state_floats())),
        state_grads_(scratch.floats(blocks.heads * sizes.state_floats())) {}

  static int64_t bytes(const Sizes& s, const Blocks& blocks) {
    return HeadBuffers::bytes(s) + Scratch::bytes_for(blocks.heads * s.chunks * s.state_floats()) +
           Scratch::bytes_for(blocks.heads * s.state_floats());
  }

  void run(int64_t unit) {
    const int64_t block = unit % blocks_.count, group = unit / blocks_.count % s_.groups;
    const int64_t batch = unit / blocks_.count / s_.groups;
    first_ = group * s_.heads_a_group + block * blocks_.heads;
    const int64_t group_end = (group + 1) * s_.heads_a_group;
    last_ = first_ + blocks_.heads < group_end ? first_ + blocks_.heads : group_end;
    make_states(batch, group);
    for (int64_t h = first_; h < last_; ++h) {
      read_state(s_, grads_.grad_final_state, batch, h, state_grad(h));
      partials_.clear_head(s_, batch, h);
    }
    for (int64_t chunk = s_.chunks - 1; chunk >= 0; --chunk)
      sweep_chunk(batch, group, block, chunk);
    for (int64_t h = first_; h < last_; ++h)
      write_state(s_, state_grad(h), grads_.grad_initial_state, batch, h);
  }

 private:
  float* state(int64_t head, int64_t chunk) const {
    return states_ + ((head - first_) * s_.chunks + chunk) * s_.state_floats();
  }
  float* state_grad(int64_t head) const {
    return state_grads_ + (head - first_) * s_.state_floats();
  }

  /// The state before each chunk.
  void make_states(int64_t batch, int64_t group) {
    for (int64_t h = first_; h < last_; ++h)
      read_state(s_, in_.initial_state, batch, h, state(h, 0));
    for (int64_t chunk = 0; chunk + 1 < s_.chunks; ++chunk) {
      Tokens t;
      set_tokens(in_, s_, batch, chunk, t);
      load_tile<E>(in_.B, t, group, b_.B, s_.states);
      for (int64_t h = first_; h < last_; ++h) {
        Steps steps;
        set_steps(in_, t, h, steps);
        load_tile<E>(in_.x, t, h, b_.x, s_.columns);
        for (int64_t i = 0; i < t.rows; ++i) steps.to_end[i] *= steps.delta[i];
        scale_rows(s_, t, steps.to_end, b_.x, b_.x);
        advance_state(s_, state(h, chunk), steps.whole, b_.B, b_.x, t.last_begin, t.count,
                      state(h, chunk + 1));
      }
    }
  }

  void sweep_chunk(int64_t batch, int64_t group, int64_t block, int64_t chunk) {
    Tokens t;
    set_tokens(in_, s_, batch, chunk, t);
    load_tile<E>(in_.B, t, group, b_.B, s_.states);
    load_tile<E>(in_.C, t, group, b_.C, s_.states);
    transpose(b_.B, s_.states, t.rows, s_.states, b_.B_t, kChunk, t.rows);
    transpose(b_.C, s_.states, t.rows, s_.states, b_.C_t, kChunk, t.rows);
    set_scores(t, s_.width, b_.B_t, b_.C_t, b_.scores);
    for (int64_t i = 0; i < kChunk * kChunk; i += kLanes) store(b_.score_grads + i, vf{});
    for (int64_t i = 0; i < s_.states * kChunk; i += kLanes) {
      store(b_.dB_t + i, vf{});
      store(b_.dC_t + i, vf{});
    }
    for (int64_t h = first_; h < last_; ++h) {
      const bool has_state = chunk > 0 || in_.initial_state.data != nullptr;
      const bool has_grad = chunk + 1 < s_.chunks || grads_.grad_final_state.data != nullptr;
      HeadBackward<E>(in_, grads_, s_, t, b_, h, has_state ? state(h, chunk) : nullptr,
                      has_grad ? state_grad(h) : nullptr)
          .run(state_grad(h), partials_.head(s_, batch, h));
    }
    write_keys(t, partials_.dB(s_, block, batch, group, t.begin),
               partials_.dC(s_, block, batch, group, t.begin));
  }

  /// dB and dC of the block in this chunk, (tokens, states).
  void write_keys(const Tokens& t, float* dB, float* dC) {
    transpose(b_.dB_t, kChunk, s_.states, t.count, dB, s_.states, s_.states);
    transpose(b_.dC_t, kChunk, s_.states, t.count, dC, s_.states, s_.states);
    // dB_s += sum over t of Z[s, t] C_t, and dC_t += sum over s of Z[s, t] B_s
    for_panels(s_.states, [&]<int V>(int64_t col) {
      for (int64_t row = 0; row < t.count; row += kBlockRows) {
        const int64_t end = row + kBlockRows < t.count ? row + kBlockRows : t.count;
        Block<V> block;
        clear(block);
        add_product(block, {b_.score_grads, kChunk, 1}, row, b_.C, s_.states, col, row,
                    t.end[end - 1]);
        add_rows(block, end - row, dB + row * s_.states + col);
        clear(block);
        add_product(block, {b_.score_grads, 1, kChunk}, row, b_.B, s_.states, col, t.start[row],
                    end);
        add_rows(block, end - row, dC + row * s_.states + col);
      }
    });
  }

  template <int V>
  ADDER_INLINE void add_rows(const Block<V>& block, int64_t rows, float* to) const {
    alignas(64) float values[kBlockRows][V * kLanes];
    spill(block, values);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t n = 0; n < V * kLanes; n += kLanes)
        store(to + r * s_.states + n, load(to + r * s_.states + n) + load(values[r] + n));
  }

  const SsdInputs& in_;
  const SsdGradients& grads_;
  const Sizes& s_;
  const Blocks& blocks_;
  const Partials& partials_;
  const HeadBuffers b_;
  float *states_, *state_grads_;
  int64_t first_ = 0, last_ = 0;
};

template <typename E>
void run_all(const SsdInputs& in, const SsdGradients& grads, const Parallel& parallel) {
  const Sizes sizes = sizes_of(in);
  const Blocks blocks = blocks_of(sizes);
  Scratch memory(Partials::bytes(sizes, blocks));
  const Partials partials(sizes, blocks, memory);
  const auto sweep = [&](int64_t begin, int64_t end) {
    Scratch scratch(Backward<E>::bytes(sizes, blocks));
    Backward<E> backward(in, grads, sizes, blocks, partials, scratch);
    for (int64_t unit = begin; unit < end; ++unit) backward.run(unit);
  };
  parallel.run(sizes.batch * sizes.groups * blocks.count, 1, sweep);
  const auto add = [&](int64_t begin, int64_t end) {
    add_keys<E>(grads.grad_B, sizes, blocks, partials.dB_all, begin, end);
    add_keys<E>(grads.grad_C, sizes, blocks, partials.dC_all, begin, end);
  };
  parallel.run(sizes.batch * sizes.length, 64, add);
  add_heads(in, grads, sizes, partials);
}

}  // namespace

void ssd_backward(const SsdInputs& in, const SsdGradients& grads, const Parallel& parallel) {
  in.x.dtype == DType::bf16 ? run_all<bf16>(in, grads, parallel)
                            : run_all<float>(in, grads, parallel);
}

}  // namespace adder::kernels::ADDER_ISA
