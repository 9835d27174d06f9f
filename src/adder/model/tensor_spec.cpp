#include "adder/model/tensor_spec.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "adder/base/checked.h"
#include "adder/base/error.h"
#include "adder/base/rng.h"

namespace adder::model {
namespace {

/// Two uniform numbers of [0, 1) for one element: words 4i to 4i + 3 of the tensor's stream, so
/// that each element can be drawn alone.
struct Draw {
  double first, second;
};

double unit(uint32_t high, uint32_t low) {
  return static_cast<double>((uint64_t{high >> 5} << 26) | (low >> 6)) * 0x1p-53;
}

Draw draw(uint64_t seed, uint64_t stream, int64_t element) {
  const auto index = static_cast<uint64_t>(element);
  const auto words = philox({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                             static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                            {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return {unit(words[0], words[1]), unit(words[2], words[3])};
}

double log_uniform(double lo, double hi, double u) {
  return std::exp(std::log(lo) + u * (std::log(hi) - std::log(lo)));
}

double value(const Init& init, Draw u, int64_t column, int64_t columns) {
  switch (init.kind) {
    case Init::Kind::kConstant:
      return init.a;
    case Init::Kind::kNormal:  // Box-Muller; 1 - u is never 0
      return init.a * std::sqrt(-2.0 * std::log(1.0 - u.first)) *
             std::cos(2.0 * std::numbers::pi * u.second);
    case Init::Kind::kUniform:
      return init.a + (init.b - init.a) * u.first;
    case Init::Kind::kLogUniform:
      return std::log(init.a + (init.b - init.a) * u.first);
    case Init::Kind::kInverseSoftplusDt: {
      const double dt = std::max(log_uniform(init.a, init.b, u.first), init.c);
      return dt + std::log(-std::expm1(-dt));
    }
    case Init::Kind::kLogArange:
      return std::log(static_cast<double>(column + 1));
    case Init::Kind::kLogLinspace: {
      const auto last = static_cast<double>(std::max<int64_t>(columns - 1, 1));
      return std::log(init.a + (init.b - init.a) * static_cast<double>(column) / last);
    }
    case Init::Kind::kHippoStep:
    case Init::Kind::kHippoInput:
      break;  // made as a whole
  }
  return 0;
}

bool is_random(Init::Kind kind) {
  return kind != Init::Kind::kConstant && kind != Init::Kind::kLogArange &&
         kind != Init::Kind::kLogLinspace;
}

/// One system for each `each` elements of the tensor.
int64_t hippo_channels(const TensorSpec& spec, int64_t each) {
  const int64_t count = element_count(spec.shape);
  if (each > 0 && count % each == 0) return count / each;
  throw Error(ErrorKind::kInternal,
              {.what = "HiPPO systems of size " + std::to_string(spec.init.size) +
                       " do not fill a tensor of " + to_string(spec.shape),
               .where = spec.name});
}

}  // namespace

int64_t element_count(const Shape& shape) {
  return checked_product(shape, "tensor of shape " + to_string(shape), ErrorKind::kShape);
}

Init uniform_fan_in(int64_t fan_in, double scale) {
  const double bound = scale / std::sqrt(static_cast<double>(fan_in));
  return {Init::Kind::kUniform, -bound, bound};
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t d = 0; d < shape.size(); ++d) {
    text += (d > 0 ? ", " : "") + std::to_string(shape[d]);
  }
  return text + "]";
}

void initialise(const TensorSpec& spec, uint64_t seed, float* out, const Parallel& parallel) {
  const int64_t columns = spec.shape.empty() ? 1 : spec.shape.back();
  const Init& init = spec.init;
  const int64_t size = init.size;
  if (init.kind == Init::Kind::kHippoStep) {
    const int64_t channels = hippo_channels(spec, size * size);
    return hippo_steps(init.hippo, size, channels, init.a, init.b, out, parallel);
  }
  if (init.kind == Init::Kind::kHippoInput) {
    const int64_t channels = hippo_channels(spec, size);
    return hippo_inputs(init.hippo, size, channels, init.a, init.b, out, parallel);
  }
  const uint64_t stream = stream_of(spec.name.c_str());
  const bool random = is_random(init.kind);
  parallel.run(element_count(spec.shape), 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Draw u = random ? draw(seed, stream, i) : Draw{};
      out[i] = static_cast<float>(value(init, u, i % columns, columns));
    }
  });
}

}  // namespace adder::model
