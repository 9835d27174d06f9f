#include "adder/model/convert.h"

#include <cstring>

#include "adder/base/error.h"

namespace adder::model {
namespace {

[[noreturn]] void not_a_weight(DType dtype) {
  throw Error(ErrorKind::kUnsupported, {.what = "weights are f32, bf16 or f16, not " +
                                                std::string(adder::to_string(dtype))});
}

}  // namespace

float element(const TensorView& tensor, int64_t index) {
  switch (tensor.dtype) {
    case DType::f32:
      return static_cast<const float*>(tensor.data)[index];
    case DType::bf16:
      return to_float(static_cast<const bf16*>(tensor.data)[index]);
    case DType::f16:
      return to_float(static_cast<const f16*>(tensor.data)[index]);
    default:
      not_a_weight(tensor.dtype);
  }
}

std::vector<std::byte> convert(const TensorView& tensor, DType dtype) {
  const int64_t count = element_count(tensor.shape);
  std::vector<std::byte> out(static_cast<std::size_t>(count * size_of(dtype)));
  for (int64_t i = 0; i < count; ++i) {
    const float value = element(tensor, i);
    std::byte* place = out.data() + i * size_of(dtype);
    if (dtype == DType::f32) {
      std::memcpy(place, &value, sizeof value);
    } else if (dtype == DType::bf16) {
      const bf16 half = to_bf16(value);
      std::memcpy(place, &half, sizeof half);
    } else if (dtype == DType::f16) {
      const f16 half = to_f16(value);
      std::memcpy(place, &half, sizeof half);
    } else {
      not_a_weight(dtype);
    }
  }
  return out;
}

}  // namespace adder::model
