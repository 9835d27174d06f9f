#include "adder/model/tensor_spec.h"

#include <algorithm>
#include <cmath>

#include "adder/base/checked.h"
#include "adder/base/error.h"
#include "adder/base/rng.h"

namespace adder::model {
namespace {

double log_uniform(double lo, double hi, double u) {
  return std::exp(std::log(lo) + u * (std::log(hi) - std::log(lo)));
}

double value(const Init& init, double u, int64_t column, int64_t columns) {
  switch (init.kind) {
    case Init::Kind::kConstant:
      return init.a;
    case Init::Kind::kLogUniform:
      return std::log(init.a + (init.b - init.a) * u);
    case Init::Kind::kInverseSoftplusDt: {
      const double dt = std::max(log_uniform(init.a, init.b, u), init.c);
      return dt + std::log(-std::expm1(-dt));
    }
    case Init::Kind::kLogArange:
      return std::log(static_cast<double>(column + 1));
    case Init::Kind::kLogLinspace: {
      const auto last = static_cast<double>(std::max<int64_t>(columns - 1, 1));
      return std::log(init.a + (init.b - init.a) * static_cast<double>(column) / last);
    }
    case Init::Kind::kNormal:
    case Init::Kind::kUniform:
      break;  // draw_of()
    case Init::Kind::kHippoStep:
    case Init::Kind::kHippoInput:
      break;  // made as a whole
  }
  return 0;
}

/// Of the kinds that value() makes.
bool is_random(Init::Kind kind) {
  return kind == Init::Kind::kLogUniform || kind == Init::Kind::kInverseSoftplusDt;
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

std::optional<Draw> draw_of(const TensorSpec& spec, uint64_t seed) {
  const uint64_t stream = stream_of(spec.name.c_str());
  const Init& init = spec.init;
  if (init.kind == Init::Kind::kNormal) return Draw{Draw::Kind::kNormal, init.a, 0, seed, stream};
  if (init.kind == Init::Kind::kUniform)
    return Draw{Draw::Kind::kUniform, init.a, init.b, seed, stream};
  return std::nullopt;
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
  const std::optional<Draw> drawn = draw_of(spec, seed);
  const uint64_t stream = stream_of(spec.name.c_str());
  const bool random = is_random(init.kind);
  parallel.run(element_count(spec.shape), 4096, [&](int64_t begin, int64_t end) {
    if (drawn) return draw(*drawn, begin, end, out + begin);
    for (int64_t i = begin; i < end; ++i) {
      const double u = random ? units_at(seed, stream, static_cast<uint64_t>(i)).first : 0;
      out[i] = static_cast<float>(value(init, u, i % columns, columns));
    }
  });
}

}  // namespace adder::model
