// One token: bound by reading and writing the state, so each row of it is visited once, along its
// state dimension.
#include "adder/kernels/cpu/simd.h"
#include "adder/kernels/cpu/ssd.h"
#include "adder/kernels/cpu/ssd_chunk.h"

namespace adder::kernels::ADDER_ISA {
namespace {

/// Rows of the state that advance together: the sums of one wait for nothing while the others run.
constexpr int kRows = 4;

/// One (row, head): what its step multiplies with.
struct Step {
  float decay, delta;
  const float *B, *C;  // (width)
};

Step step_of(const SsdUpdate& args, int64_t batch, int64_t head, const float* B, const float* C) {
  const float A = element(args.A.data, DType::f32, head * args.A.stride[0]);
  float raw =
      element(args.dt.data, args.dt.dtype, batch * args.dt.stride[0] + head * args.dt.stride[1]);
  if (args.dt_bias.data != nullptr)
    raw += element(args.dt_bias.data, DType::f32, head * args.dt_bias.stride[0]);
  float delta = args.dt_softplus ? softplus(splat(raw))[0] : raw;
  if (static_cast<double>(delta) > args.dt_max) delta = static_cast<float>(args.dt_max);
  if (static_cast<double>(delta) < args.dt_min) delta = static_cast<float>(args.dt_min);
  return {exp(splat(delta * A))[0], delta, B, C};
}

/// R rows of the state: s = decay s + input[r] B; y[r] = s . C.
template <int R>
ADDER_INLINE void advance_rows(const Step& step, float* state, int64_t width, const float* input,
                               float* y) {
  vf total[R] = {};
  int64_t n = 0;
  for (; n + kLanes <= width; n += kLanes) {
    const vf B = load(step.B + n), C = load(step.C + n);
    for (int r = 0; r < R; ++r) {
      const vf s = step.decay * load(state + r * width + n) + input[r] * B;
      store(state + r * width + n, s);
      total[r] += s * C;
    }
  }
  for (int r = 0; r < R; ++r) {
    if (n < width) {
      const vf B = load_n(step.B + n, width - n), C = load_n(step.C + n, width - n);
      const vf s = step.decay * load_n(state + r * width + n, width - n) + input[r] * B;
      store_n(state + r * width + n, s, width - n);
      total[r] += s * C;
    }
    y[r] = sum(total[r]);
  }
}

template <typename E>
void run_head(const SsdUpdate& args, const Step& step, int64_t batch, int64_t slot, int64_t head) {
  const int64_t head_dim = args.x.size[2], width = args.B.size[2];
  const E* x =
      static_cast<const E*>(args.x.data) + batch * args.x.stride[0] + head * args.x.stride[1];
  const E* z = static_cast<const E*>(args.z.data);
  if (z != nullptr) z += batch * args.z.stride[0] + head * args.z.stride[1];
  E* y = static_cast<E*>(args.y.data) + batch * args.y.stride[0] + head * args.y.stride[1];
  float* state =
      static_cast<float*>(args.state.data) + (slot * args.x.size[1] + head) * head_dim * width;
  const float* D = static_cast<const float*>(args.D.data);
  if (D != nullptr) D += head * args.D.stride[0];
  for (int64_t p = 0; p < head_dim; p += kRows) {
    const int64_t rows = head_dim - p < kRows ? head_dim - p : kRows;
    float values[kRows], input[kRows], out[kRows];
    for (int64_t r = 0; r < rows; ++r) {
      values[r] = widen(x[p + r]);
      input[r] = step.delta * values[r];
    }
    if (rows == kRows) {
      advance_rows<kRows>(step, state + p * width, width, input, out);
    } else {
      for (int64_t r = 0; r < rows; ++r)
        advance_rows<1>(step, state + (p + r) * width, width, input + r, out + r);
    }
    for (int64_t r = 0; r < rows; ++r) {
      if (D != nullptr)
        out[r] += D[args.D.size[1] == 1 ? 0 : (p + r) * args.D.stride[1]] * values[r];
      if (z != nullptr) out[r] *= silu(splat(widen(z[p + r])))[0];
      narrow(out[r], y + p + r);
    }
  }
}

template <typename E>
void no_output(const SsdUpdate& args, int64_t batch, int64_t head) {
  E* y = static_cast<E*>(args.y.data) + batch * args.y.stride[0] + head * args.y.stride[1];
  for (int64_t p = 0; p < args.x.size[2]; ++p) y[p] = E{};
}

/// B or C of one row and group, as floats.
template <typename E>
void read_keys(const View<3>& keys, int64_t batch, int64_t group, float* to) {
  const E* from =
      static_cast<const E*>(keys.data) + batch * keys.stride[0] + group * keys.stride[1];
  for (int64_t n = 0; n < keys.size[2]; ++n) to[n] = widen(from[n]);
}

template <typename E>
void run_all(const SsdUpdate& args, const Parallel& parallel) {
  const int64_t heads = args.x.size[1], width = args.B.size[2];
  const int64_t heads_a_group = heads / args.B.size[1];
  const auto body = [&](int64_t begin, int64_t end) {
    Scratch scratch(2 * Scratch::bytes_for(width));
    float *B = scratch.floats(width), *C = scratch.floats(width);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t batch = i / heads, head = i % heads;
      int64_t slot = batch;
      if (args.state_indices.data != nullptr)
        slot = static_cast<const int32_t*>(
            args.state_indices.data)[batch * args.state_indices.stride[0]];
      if (slot < 0) {
        no_output<E>(args, batch, head);
        continue;
      }
      if (i == begin || head % heads_a_group == 0) {
        read_keys<E>(args.B, batch, head / heads_a_group, B);
        read_keys<E>(args.C, batch, head / heads_a_group, C);
      }
      run_head<E>(args, step_of(args, batch, head, B, C), batch, slot, head);
    }
  };
  constexpr int64_t kGrainFloats = 1 << 16;  // of state: less is not worth another thread
  const int64_t state_floats = args.x.size[2] * width;
  parallel.run(args.x.size[0] * heads, kGrainFloats / (state_floats + 1) + 1, body);
}

}  // namespace

void ssd_update(const SsdUpdate& args, const Parallel& parallel) {
  args.x.dtype == DType::bf16 ? run_all<bf16>(args, parallel) : run_all<float>(args, parallel);
}

}  // namespace adder::kernels::ADDER_ISA
