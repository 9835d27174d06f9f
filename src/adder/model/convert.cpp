#include "adder/model/convert.h"

#include <cmath>
#include <cstring>

#include "adder/base/error.h"

namespace adder::model {
namespace {

[[noreturn]] void not_a_weight(DType dtype) {
  throw Error(ErrorKind::kUnsupported, {.what = "weights are f32, bf16 or f16, not " +
                                                std::string(adder::to_string(dtype))});
}

[[noreturn]] void too_large(float value, DType dtype) {
  throw Error(ErrorKind::kNumeric,
              {.what = "a weight is too large for " + std::string(adder::to_string(dtype)),
               .why = std::to_string(value) + " would become infinity",
               .next = "use bf16"});
}

template <typename T>
T at(const void* data, int64_t index) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(data) + index * int64_t{sizeof(T)}, sizeof(T));
  return value;
}

template <typename T>
void put(T value, float from, DType dtype, std::byte* place) {
  if (std::isinf(to_float(value)) && !std::isinf(from)) too_large(from, dtype);
  std::memcpy(place, &value, sizeof value);
}

}  // namespace

float element(const TensorView& tensor, int64_t index) {
  switch (tensor.dtype) {
    case DType::f32:
      return at<float>(tensor.data, index);
    case DType::bf16:
      return to_float(at<bf16>(tensor.data, index));
    case DType::f16:
      return to_float(at<f16>(tensor.data, index));
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
      put(to_bf16(value), value, dtype, place);
    } else if (dtype == DType::f16) {
      put(to_f16(value), value, dtype, place);
    } else {
      not_a_weight(dtype);
    }
  }
  return out;
}

}  // namespace adder::model
