#include "adder/kernels/ref/rotary.h"

#include "adder/kernels/ref/element.h"

namespace adder::kernels::ref {

template <typename T>
void rotary(const RotaryArgs& args) {
  const int64_t pairs = args.frequencies.size[0];
  for (int64_t t = 0; t < args.x.size[0]; ++t) {
    for (int64_t i = 0; i < pairs; ++i) {
      const double frequency = get<double>(args.frequencies, i);
      const double angle = static_cast<double>(args.first + t) * frequency;
      const T c = static_cast<T>(std::cos(angle)), s = static_cast<T>(std::sin(angle));
      const int64_t one = args.interleaved ? 2 * i : i;
      const int64_t two = args.interleaved ? 2 * i + 1 : i + pairs;
      for (int64_t h = 0; h < args.x.size[1]; ++h) {
        const T a = get<T>(args.x, t, h, one), b = get<T>(args.x, t, h, two);
        set(args.x, a * c - b * s, t, h, one);
        set(args.x, a * s + b * c, t, h, two);
      }
    }
  }
}

template void rotary<float>(const RotaryArgs&);
template void rotary<double>(const RotaryArgs&);

}  // namespace adder::kernels::ref
