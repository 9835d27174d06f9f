// A thread turns the same pairs of some heads of its token: their angles are found once.
#include <cmath>

#include "adder/kernels/cuda/functions.h"
#include "adder/kernels/cuda/rows.cuh"

namespace adder::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kHeads = 4;       // that a thread turns
constexpr int kMaxPairs = 256;  // of a head

struct Turn {
  const void* x;
  void* y;
  const int64_t* position;
  int64_t tokens, length, heads, head_dim, dim;
  int64_t x_stride[3], y_stride[3];  // of batch, time and head
  int64_t position_stride[2];
  double turns_a_position[kMaxPairs];  // below zero to turn back
};

/// In turns, of which whole ones are left out in double: positions are large.
__device__ __forceinline__ void angle_of(const Turn& turn, int64_t position, int64_t pair, float& c,
                                         float& s) {
  const double turns = static_cast<double>(position) * turn.turns_a_position[pair];
  sincospif(2 * static_cast<float>(turns - rint(turns)), &s, &c);
}

/// How many pairs a thread has, kCount channels at a time.
template <int kCount, bool kInterleaved>
inline constexpr int kPairsOf = kInterleaved&& kCount > 1 ? kCount / 2 : kCount;

__device__ __forceinline__ void turn_pair(float& a, float& b, float c, float s) {
  const float left = a, right = b;
  a = left * c - right * s;
  b = left * s + right * c;
}

/// Where both members of the pairs of a part lie in a head. Neighbours are one vector, unless that
/// is one channel.
template <int kCount, bool kInterleaved>
struct Place {
  static constexpr bool kTogether = kInterleaved && kCount > 1;
  int64_t first, second;

  __device__ __forceinline__ Place(int64_t part, int64_t half)
      : first(kInterleaved && kCount == 1 ? 2 * part : part * kCount),
        second(first + (kInterleaved ? 1 : half)) {}
};

/// One head's part; read before any is written, so that all reads are under way together.
template <typename T, int kCount, bool kInterleaved>
struct Part {
  using At = Place<kCount, kInterleaved>;
  static constexpr int kPairs = kPairsOf<kCount, kInterleaved>;
  Packed<T, kCount> left, right;

  __device__ __forceinline__ void read(const T* x, const At& at) {
    left = load<T, kCount>(x + at.first);
    if constexpr (!At::kTogether) right = load<T, kCount>(x + at.second);
  }
  __device__ __forceinline__ void write(T* y, const At& at, const float (&c)[kPairs],
                                        const float (&s)[kPairs]) const {
    float a[kCount], b[kCount];
    unpack<T, kCount>(left, a);
    if constexpr (At::kTogether) {
#pragma unroll
      for (int i = 0; i < kPairs; ++i) turn_pair(a[2 * i], a[2 * i + 1], c[i], s[i]);
    } else {
      unpack<T, kCount>(right, b);
#pragma unroll
      for (int i = 0; i < kPairs; ++i) turn_pair(a[i], b[i], c[i], s[i]);
      store<T, kCount>(y + at.second, b);
    }
    store<T, kCount>(y + at.first, a);
  }
};

/// Threads behind those of the pairs copy the channels that do not turn.
template <typename T, int kCount, bool kInterleaved>
__global__ void __launch_bounds__(kThreads) turn_heads(const __grid_constant__ Turn turn) {
  constexpr int kPairs = kPairsOf<kCount, kInterleaved>;
  const int64_t turning = turn.dim / 2 / kPairs, resting = (turn.head_dim - turn.dim) / kCount;
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t token = index / (turning + resting);
  if (token >= turn.tokens) return;
  const int64_t part = index - token * (turning + resting);
  const int64_t batch = token / turn.length, time = token - batch * turn.length;
  const T* x = static_cast<const T*>(turn.x) + batch * turn.x_stride[0] + time * turn.x_stride[1];
  T* y = static_cast<T*>(turn.y) + batch * turn.y_stride[0] + time * turn.y_stride[1];
  const int64_t first = int64_t{blockIdx.y} * kHeads, end = min(turn.heads, first + kHeads);
  if (part >= turning) {
    const int64_t channel = turn.dim + (part - turning) * kCount;
    for (int64_t head = first; head < end; ++head)
      *reinterpret_cast<Packed<T, kCount>*>(y + head * turn.y_stride[2] + channel) =
          load<T, kCount>(x + head * turn.x_stride[2] + channel);
    return;
  }
  float c[kPairs], s[kPairs];
  const int64_t position =
      turn.position[batch * turn.position_stride[0] + time * turn.position_stride[1]];
#pragma unroll
  for (int i = 0; i < kPairs; ++i) angle_of(turn, position, part * kPairs + i, c[i], s[i]);
  const Place<kCount, kInterleaved> at(part, turn.dim / 2);
  Part<T, kCount, kInterleaved> parts[kHeads];
#pragma unroll
  for (int i = 0; i < kHeads; ++i)
    if (first + i < end) parts[i].read(x + (first + i) * turn.x_stride[2], at);
#pragma unroll
  for (int i = 0; i < kHeads; ++i)
    if (first + i < end) parts[i].write(y + (first + i) * turn.y_stride[2], at, c, s);
}

template <typename T, int kCount, bool kInterleaved>
DeviceAnswer launch(const Turn& turn, const DeviceWork& work) {
  constexpr int kPairs = kPairsOf<kCount, kInterleaved>;
  const int64_t parts = turn.dim / 2 / kPairs + (turn.head_dim - turn.dim) / kCount;
  const dim3 blocks(static_cast<unsigned>(ceil_div(turn.tokens * parts, kThreads)),
                    static_cast<unsigned>(ceil_div(turn.heads, kHeads)));
  turn_heads<T, kCount, kInterleaved><<<blocks, kThreads, 0, stream_of(work)>>>(turn);
  return launched();
}

/// In vectors of 16 bytes where everything divides, else channel by channel.
template <typename T, bool kInterleaved>
DeviceAnswer launch_for(const RotaryTokens& args, const Turn& turn, const DeviceWork& work) {
  constexpr int kWide = 16 / sizeof(T);
  const int64_t unit = kInterleaved ? kWide : 2 * kWide;
  if (turn.dim % unit == 0 && all_in_vectors(kWide, args.x, args.y))
    return launch<T, kWide, kInterleaved>(turn, work);
  return launch<T, 1, kInterleaved>(turn, work);
}

template <typename T>
DeviceAnswer launch_for(const RotaryTokens& args, const Turn& turn, const DeviceWork& work) {
  return args.interleaved ? launch_for<T, true>(args, turn, work)
                          : launch_for<T, false>(args, turn, work);
}

}  // namespace

DeviceAnswer rotary(const RotaryTokens& args, const DeviceWork& work) {
  const auto [batch, length, heads, head_dim] = args.x.size;
  if (batch * length * heads * head_dim == 0) return nullptr;
  if (args.dim > 2 * kMaxPairs) return "rotary: more than 512 channels of a head turn";
  Turn turn = {};
  turn.x = args.x.data;
  turn.y = args.y.data;
  turn.position = args.position.as<int64_t>();
  turn.tokens = batch * length;
  turn.length = length;
  turn.heads = heads;
  turn.head_dim = head_dim;
  turn.dim = args.dim;
  for (int d = 0; d < 3; ++d) {
    turn.x_stride[d] = args.x.stride[d];
    turn.y_stride[d] = args.y.stride[d];
  }
  turn.position_stride[0] = args.position.size[0] == 1 ? 0 : args.position.stride[0];
  turn.position_stride[1] = args.position.stride[1];
  constexpr double kTurn = 6.283185307179586;  // in radians
  for (int64_t i = 0; i < args.dim / 2; ++i)
    turn.turns_a_position[i] =
        std::pow(args.base, -2.0 * static_cast<double>(i) / static_cast<double>(args.dim)) /
        (args.inverse ? -kTurn : kTurn);
  if (args.x.dtype == DType::f32) return launch_for<float>(args, turn, work);
  if (args.x.dtype == DType::bf16) return launch_for<__nv_bfloat16>(args, turn, work);
  return "rotary: x is neither f32 nor bf16";
}

}  // namespace adder::kernels::cuda
