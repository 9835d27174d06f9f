#include "adder/data/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "adder/base/error.h"

namespace adder::data {

Split split_tokens(const ShardSet& shards, double val_fraction) {
  if (!(val_fraction >= 0 && val_fraction < 1)) {
    throw Error(ErrorKind::kConfig, {.what = fmt::format("val_fraction is {}", val_fraction),
                                     .why = "it must be at least 0 and below 1"});
  }
  const int64_t size = shards.size();
  if (val_fraction == 0) return {{0, size}, {size, size}};
  auto border = static_cast<int64_t>(std::floor(static_cast<double>(size) * (1 - val_fraction)));
  border = std::min(border, size - 1);
  if (shards.document_count() > 1) {
    const int64_t document = shards.document_at(border);
    border = shards.document(std::max<int64_t>(document, 1)).begin;
  }
  if (border < 1) {
    throw Error(ErrorKind::kConfig,
                {.what = "the text is too small to hold a part of it out for validation",
                 .why = fmt::format("it has {} tokens, val_fraction is {}", size, val_fraction),
                 .next = "give more text, or set val_fraction to 0"});
  }
  return {{0, border}, {border, size}};
}

}  // namespace adder::data
