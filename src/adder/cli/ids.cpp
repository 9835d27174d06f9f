#include "adder/cli/ids.h"

#include <fmt/format.h>

#include <cstring>

#include "adder/base/error.h"
#include "adder/io/npy.h"

namespace adder::cli {
namespace {

template <typename T>
std::vector<int32_t> ids_of(const io::NpyArray& array, const std::string& where,
                            int64_t vocab_size) {
  std::vector<int32_t> ids(static_cast<std::size_t>(array.elements()));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    T value;
    std::memcpy(&value, array.bytes.data() + i * sizeof(T), sizeof(T));
    const auto id = static_cast<int64_t>(value);
    if (id < 0 || id >= vocab_size) {
      throw Error(ErrorKind::kShape,
                  {.what = fmt::format("{} is no token id of this model", id),
                   .where = fmt::format("{}, element {}", where, i),
                   .why = fmt::format("its vocabulary has the ids 0 to {}", vocab_size - 1),
                   .next = "encode the text with the model's own tokenizer"});
    }
    ids[i] = static_cast<int32_t>(id);
  }
  return ids;
}

}  // namespace

std::vector<int32_t> read_ids(const std::filesystem::path& path, int64_t vocab_size) {
  const io::NpyArray array = io::read_npy(path);
  const std::string where = path.string();
  const auto& shape = array.shape;
  const bool row = shape.size() == 1 || (shape.size() == 2 && shape[0] == 1);
  if (!row || array.elements() == 0) {
    throw Error(ErrorKind::kShape,
                {.what = "expected token ids in one dimension, at least one", .where = where});
  }
  switch (array.dtype) {
    case DType::i64:
      return ids_of<int64_t>(array, where, vocab_size);
    case DType::i32:
      return ids_of<int32_t>(array, where, vocab_size);
    case DType::i16:
      return ids_of<int16_t>(array, where, vocab_size);
    case DType::u16:
      return ids_of<uint16_t>(array, where, vocab_size);
    case DType::u8:
      return ids_of<uint8_t>(array, where, vocab_size);
    case DType::i8:
      return ids_of<int8_t>(array, where, vocab_size);
    default:
      throw Error(ErrorKind::kShape, {.what = "expected token ids, which are integers",
                                      .where = where,
                                      .why = "its type is " + std::string(to_string(array.dtype)),
                                      .next = "make it with `adder data encode`"});
  }
}

}  // namespace adder::cli
