// The backward pass of one head through one chunk (mamba-core 1.5; the names are those of
// ssd_chunk.h). With S the state before the chunk, G the gradient of the state after it, s <= t
// tokens, E[s,t] = e^{c_t - c_s}:
//
//   U[s,t] = x_s . dy_t             Z = E U Delta_s (summed over heads)     q = (B_s . C_t) E U
//   dx_s   = Delta_s (e^{c_end - c_s} G B_s + sum_t (B_s . C_t) E[s,t] dy_t) + D dy_s
//   dC_t  += e^{c_t} S^T dy_t       dB_s += Delta_s e^{c_end - c_s} G^T x_s
//   G     <- e^{c_end} G + sum_t e^{c_t} dy_t (outer) C_t
//
// The gradient of Delta_k A: every term whose exponent holds it, sum_{s<k<=t} w with w = q Delta_s,
// + the a1_t of t >= k, + the a2_s of s < k, + e^{c_end} <S, G>; a1_t = C_t . (its dC), a2_s = B_s
// . (its dB).
#pragma once

#include "adder/kernels/cpu/ssd_gradients.h"

namespace adder::kernels::ADDER_ISA {

struct HeadBuffers {
  float *B, *C, *B_t, *C_t, *dB_t, *dC_t;  // (kChunk, states); _t: (states, kChunk)
  float *scores, *score_grads;             // (kChunk, kChunk), the earlier token first
  float *decays, *weights;                 // E, and E times scores
  float *x, *dy, *x_t, *dy_t, *y;          // (kChunk, columns); _t: (columns, kChunk)
  float *skip, *totals;                    // (columns), (kChunk, kLanes)

  static int64_t bytes(const Sizes& s) {
    return 6 * Scratch::bytes_for(kChunk * s.states) + 4 * Scratch::bytes_for(kChunk * kChunk) +
           5 * Scratch::bytes_for(kChunk * s.columns) + Scratch::bytes_for(s.columns) +
           Scratch::bytes_for(kChunk * kLanes);
  }
  HeadBuffers(const Sizes& s, Scratch& scratch) {
    for (float** keys : {&B, &C, &B_t, &C_t, &dB_t, &dC_t})
      *keys = scratch.floats(kChunk * s.states);
    for (float** pairs : {&scores, &score_grads, &decays, &weights})
      *pairs = scratch.floats(kChunk * kChunk);
    for (float** rows : {&x, &dy, &x_t, &dy_t, &y}) *rows = scratch.floats(kChunk * s.columns);
    skip = scratch.floats(s.columns);
    totals = scratch.floats(kChunk * kLanes);
  }
};

template <typename E>
class HeadBackward {
 public:
  /// `state` and `grad` may be null: known to be zero.
  HeadBackward(const SsdInputs& in, const SsdGradients& grads, const Sizes& sizes,
               const Tokens& tokens, const HeadBuffers& buffers, int64_t head, const float* state,
               const float* grad)
      : in_(in),
        grads_(grads),
        s_(sizes),
        t_(tokens),
        b_(buffers),
        head_(head),
        state_(state),
        grad_(grad) {
    set_steps(in, tokens, head, steps_);
    for (float* sums : {decay_in_, decay_out_, later_, across_, diagonal_})
      for (int64_t i = 0; i < kChunk; ++i) sums[i] = 0;
  }

  /// Writes the gradient of the state before the chunk to `new_grad` (which may be `grad`).
  void run(float* new_grad, const HeadSums& sums) {
    load_tile<E>(in_.x, t_, head_, b_.x, s_.columns);
    load_tile<E>(grads_.grad_y, t_, head_, b_.dy, s_.columns);
    read_skip(s_, in_.D, head_, b_.skip);
    for_decays(t_, steps_, [&](int64_t s, int64_t i, vf decay) {
      store(b_.decays + s * kChunk + i, decay);
      store(b_.weights + s * kChunk + i,
            decay == 0.0f ? vf{} : decay * load(b_.scores + s * kChunk + i));
    });
    if (in_.z.data != nullptr) through_gate();
    transpose(b_.x, s_.columns, t_.rows, s_.columns, b_.x_t, kChunk, t_.rows);
    transpose(b_.dy, s_.columns, t_.rows, s_.columns, b_.dy_t, kChunk, t_.rows);
    scores_backward();
    write_dx();
    if (state_ != nullptr && t_.first_end > 0)
      keys_backward(state_, b_.dy_t, steps_.from_start, b_.C_t, nullptr, b_.dC_t, decay_in_);
    if (grad_ != nullptr)
      keys_backward(grad_, b_.x_t, steps_.to_end, b_.B_t, steps_.delta, b_.dB_t, decay_out_);
    write_dt(state_product(), sums);
    add_skip(sums.D);
    scale_rows(s_, t_, steps_.from_start, b_.dy, b_.dy);
    advance_state(s_, new_grad, grad_ == nullptr ? 0.0f : steps_.whole, b_.C, b_.dy, 0,
                  t_.first_end, new_grad);
  }

 private:
  /// Makes y again; dz = dy y silu'(z), dy *= silu(z).
  void through_gate() {
    scale_rows(s_, t_, steps_.delta, b_.x, b_.x_t);  // x_t is free: Delta x
    for_panels(s_.columns, [&]<int V>(int64_t col) {
      for (int64_t row = 0; row < t_.count; row += kBlockRows) {
        Block<V> y;
        clear(y);
        if (state_ != nullptr && row < t_.first_end) {
          add_product(y, {b_.C_t, 1, kChunk}, row, state_, s_.columns, col, 0, s_.width);
          for (int r = 0; r < kBlockRows; ++r)
            for (int v = 0; v < V; ++v) y.at[r][v] *= steps_.from_start[row + r];
        }
        const int64_t end = row + kBlockRows < t_.count ? row + kBlockRows : t_.count;
        add_product(y, {b_.weights, 1, kChunk}, row, b_.x_t, s_.columns, col, t_.start[row], end);
        for (int r = 0; r < kBlockRows; ++r)
          for (int v = 0; v < V; ++v)
            store(b_.y + (row + r) * s_.columns + col + v * kLanes, y.at[r][v]);
      }
    });
    for (int64_t i = 0; i < t_.count; ++i) gate_row(i);
  }

  void gate_row(int64_t i) {
    const E* z = row_of<const E>(in_.z, t_, i, head_);
    E* dz = grads_.grad_z.data == nullptr ? nullptr : row_of<E>(grads_.grad_z, t_, i, head_);
    float* dy = b_.dy + i * s_.columns;
    const float *x = b_.x + i * s_.columns, *y = b_.y + i * s_.columns;
    for (int64_t p = 0; p < s_.head_dim; p += kLanes) {
      const int64_t left = s_.head_dim - p;
      const vf gate = t_.real[i] ? load_up_to(z + p, left) : vf{};
      const vf out = load(y + p) + load(b_.skip + p) * load(x + p);
      if (dz != nullptr) store_up_to(dz + p, load(dy + p) * out * silu_slope(gate), left);
      store(dy + p, load(dy + p) * silu(gate));
    }
  }

  /// U, and all that is made of it: Z, and the sums of q over rows and columns of the strict
  /// triangle.
  void scores_backward() {
    for (int64_t i = 0; i < kChunk * kLanes; i += kLanes) store(b_.totals + i, vf{});
    for_panels(t_.rows, [&]<int V>(int64_t col) {
      for (int64_t row = 0; row < t_.count && row < col + V * kLanes; row += kBlockRows) {
        const int64_t last = row + kBlockRows < t_.count ? row + kBlockRows : t_.count;
        if (col >= t_.end[last - 1]) continue;
        Block<V> u;
        clear(u);
        add_product(u, {b_.x_t, 1, kChunk}, row, b_.dy_t, kChunk, col, 0, s_.head_dim);
        for (int r = 0; r < kBlockRows; ++r) {
          if (row + r >= t_.count) break;
          for (int v = 0; v < V; ++v) one_vector(u.at[r][v], row + r, col + v * kLanes);
        }
      }
    });
    for (int64_t s = 0; s < t_.count; ++s) later_[s] = sum(load(b_.totals + s * kLanes));
    sum_across();
  }

  /// across_k = sum of w[s, t] over s < k <= t: what token k's decay lies between. Sums of whole
  /// terms: adding and taking away rows and columns instead would leave the rounding of large terms
  /// in small sums.
  void sum_across() {
    alignas(64) float columns[kChunk] = {};  // sum over s < k of w[s, .]
    for (int64_t k = 0; k < t_.count; ++k) {
      vf total{};
      for (int64_t i = k / kLanes * kLanes; i < t_.rows; i += kLanes) {
        const vf column = load(columns + i);
        total += lane_numbers(i) >= static_cast<int32_t>(k) ? column : vf{};
        store(columns + i, column + load(b_.decays + k * kChunk + i));
      }
      across_[k] = sum(total);
    }
  }

  ADDER_INLINE void one_vector(vf u, int64_t s, int64_t at) {
    const int64_t pair = s * kChunk + at;
    const float delta = steps_.delta[s];
    store(b_.score_grads + pair, load(b_.score_grads + pair) + u * load(b_.decays + pair) * delta);
    const vf q = u * load(b_.weights + pair);
    const vi same = lane_numbers(at) == static_cast<int32_t>(s);
    const vf strict = same ? vf{} : q;
    store(diagonal_ + at, load(diagonal_ + at) + (same ? q : vf{}));
    store(b_.totals + s * kLanes, load(b_.totals + s * kLanes) + strict);
    store(b_.decays + pair, strict * delta);  // E is done with: from here on it holds w
  }

  void write_dx() {
    for_panels(s_.columns, [&]<int V>(int64_t col) {
      for (int64_t row = 0; row < t_.count; row += kBlockRows) {
        const int64_t last = row + kBlockRows < t_.count ? row + kBlockRows : t_.count;
        Block<V> u;
        clear(u);
        if (grad_ != nullptr && last > t_.last_begin) {
          add_product(u, {b_.B_t, 1, kChunk}, row, grad_, s_.columns, col, 0, s_.width);
          for (int r = 0; r < kBlockRows; ++r)
            for (int v = 0; v < V; ++v) u.at[r][v] *= steps_.to_end[row + r];
        }
        add_product(u, {b_.weights, kChunk, 1}, row, b_.dy, s_.columns, col, row, t_.end[last - 1]);
        alignas(64) float rows[kBlockRows][V * kLanes];
        spill(u, rows);
        if (grads_.grad_x.data == nullptr) continue;
        for (int64_t i = row; i < last; ++i) {
          E* to = row_of<E>(grads_.grad_x, t_, i, head_) + col;
          const float* dy = b_.dy + i * s_.columns + col;
          for (int64_t p = 0; p < V * kLanes && p < s_.head_dim - col; p += kLanes)
            store_up_to(
                to + p,
                steps_.delta[i] * load(rows[i - row] + p) + load(b_.skip + col + p) * load(dy + p),
                s_.head_dim - col - p);
        }
      }
    });
  }

  /// dkeys_t += scale_t extra_t M^T rows_t, where M (states, columns) is a state or its gradient;
  /// dots_t = keys_t . (scale_t M^T rows_t). `extra` may be null: ones.
  void keys_backward(const float* matrix, const float* rows_t, const float* scale,
                     const float* keys_t, const float* extra, float* dkeys_t, float* dots) {
    for_panels(t_.rows, [&]<int V>(int64_t col) {
      vf dot[V] = {}, factor[V], outer[V];
      for (int v = 0; v < V; ++v) {
        factor[v] = load(scale + col + v * kLanes);
        outer[v] = extra == nullptr ? splat(1) : load(extra + col + v * kLanes);
      }
      for (int64_t n = 0; n < s_.states; n += kBlockRows) {
        Block<V> f;
        clear(f);
        add_product(f, {matrix, s_.columns, 1}, n, rows_t, kChunk, col, 0, s_.head_dim);
        for (int r = 0; r < kBlockRows; ++r) {
          for (int v = 0; v < V; ++v) {
            const int64_t at = (n + r) * kChunk + col + v * kLanes;
            const vf value = f.at[r][v] * factor[v];
            dot[v] += value * load(keys_t + at);
            store(dkeys_t + at, load(dkeys_t + at) + value * outer[v]);
          }
        }
      }
      for (int v = 0; v < V; ++v) store(dots + col + v * kLanes, dot[v]);
    });
  }

  /// e^{c_end} <S, G>
  float state_product() const {
    if (state_ == nullptr || grad_ == nullptr || !t_.carries()) return 0;
    vf total[4] = {};
    for (int64_t i = 0; i < s_.state_floats(); i += 4 * kLanes)
      for (int k = 0; k < 4; ++k)
        total[k] += load(state_ + i + k * kLanes) * load(grad_ + i + k * kLanes);
    return steps_.whole * sum((total[0] + total[1]) + (total[2] + total[3]));
  }

  /// Token k's decay lies between s and t (across_), between the state before and t >= k, between s
  /// < k and the state after, and between the two states (`end`).
  void write_dt(float end, const HeadSums& sums) {
    char* to = static_cast<char*>(grads_.grad_dt.data);
    double from_before[kChunk], sum_A = 0, sum_bias = 0, into = 0,
                                out_of = static_cast<double>(end);
    for (int64_t i = t_.count - 1; i >= 0; --i)
      from_before[i] = into += static_cast<double>(decay_in_[i]);
    for (int64_t i = 0; i < t_.count; ++i) {
      const double delta = static_cast<double>(steps_.delta[i]);
      const double exponent = static_cast<double>(across_[i]) + from_before[i] + out_of;
      out_of += delta * static_cast<double>(decay_out_[i]);
      const double direct = static_cast<double>(later_[i] + diagonal_[i] + decay_out_[i]);
      const double slope = static_cast<double>(steps_.slope[i]);
      const double d_dt = (direct + static_cast<double>(steps_.A) * exponent) * slope;
      sum_A += delta * exponent;
      sum_bias += d_dt;
      if (to == nullptr) continue;
      const int64_t at = t_.batch * grads_.grad_dt.stride[0] +
                         (t_.begin + i) * grads_.grad_dt.stride[1] +
                         head_ * grads_.grad_dt.stride[2];
      if (grads_.grad_dt.dtype == DType::bf16) {
        narrow(static_cast<float>(d_dt), reinterpret_cast<bf16*>(to) + at);
      } else {
        reinterpret_cast<float*>(to)[at] = static_cast<float>(d_dt);
      }
    }
    *sums.A += static_cast<float>(sum_A);
    *sums.dt_bias += static_cast<float>(sum_bias);
  }

  /// dD += sum over t of dy x, for each channel.
  void add_skip(float* D) const {
    if (in_.D.data == nullptr) return;
    for (int64_t p = 0; p < s_.columns; p += kLanes) {
      vf total{};
      for (int64_t i = 0; i < t_.count; ++i)
        total += load(b_.dy + i * s_.columns + p) * load(b_.x + i * s_.columns + p);
      store(D + p, load(D + p) + total);
    }
  }

  const SsdInputs& in_;
  const SsdGradients& grads_;
  const Sizes& s_;
  const Tokens& t_;
  const HeadBuffers& b_;
  const int64_t head_;
  const float *state_, *grad_;
  Steps steps_;
  alignas(64) float decay_in_[kChunk];   // a1
  alignas(64) float decay_out_[kChunk];  // a2 / Delta
  alignas(64) float later_[kChunk];      // of token s: sum over t > s of q[s, t]
  alignas(64) float across_[kChunk];     // of token k: sum over s < k <= t of w[s, t]
  alignas(64) float diagonal_[kChunk];   // q[s, s]
};

}  // namespace adder::kernels::ADDER_ISA
