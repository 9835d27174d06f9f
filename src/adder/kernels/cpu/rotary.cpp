#include "adder/kernels/cpu/rotary.h"

#include "adder/kernels/cpu/simd.h"
#include "adder/kernels/scratch.h"

namespace adder::kernels::ADDER_ISA {
namespace {

/// Turns pairs (x[i], x[i + pairs]).
void turn_halves(float* x, const float* cosines, const float* sines, int64_t pairs) {
  for (int64_t i = 0; i < pairs; i += kLanes) {
    const int64_t left = pairs - i;
    const vf a = load_up_to(x + i, left), b = load_up_to(x + pairs + i, left);
    const vf c = load_up_to(cosines + i, left), s = load_up_to(sines + i, left);
    store_up_to(x + i, a * c - b * s, left);
    store_up_to(x + pairs + i, a * s + b * c, left);
  }
}

/// Turns pairs (x[2i], x[2i + 1]).
void turn_neighbours(float* x, const float* cosines, const float* sines, int64_t pairs) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = a * cosines[i] - b * sines[i];
    x[2 * i + 1] = a * sines[i] + b * cosines[i];
  }
}

}  // namespace

void rotary(const RotaryArgs& args, const Parallel& parallel) {
  const int64_t pairs = args.frequencies.size[0], heads = args.x.size[1];
  const double* frequencies = static_cast<const double*>(args.frequencies.data);
  const auto turn = args.interleaved ? turn_neighbours : turn_halves;
  parallel.run(args.x.size[0], 4, [&](int64_t begin, int64_t end) {
    Scratch scratch(2 * Scratch::bytes_for(pairs));
    float *cosines = scratch.floats(pairs), *sines = scratch.floats(pairs);
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t i = 0; i < pairs; ++i) {
        const double angle = static_cast<double>(args.first + t) * frequencies[i];
        cosines[i] = static_cast<float>(__builtin_cos(angle));
        sines[i] = static_cast<float>(__builtin_sin(angle));
      }
      for (int64_t h = 0; h < heads; ++h)
        turn(static_cast<float*>(args.x.data) + t * args.x.stride[0] + h * args.x.stride[1],
             cosines, sines, pairs);
    }
  });
}

}  // namespace adder::kernels::ADDER_ISA
