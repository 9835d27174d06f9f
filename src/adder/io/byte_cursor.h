// Reads little-endian fields one after another; what reaches past the end is Error{kFormat}.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "adder/base/error.h"

namespace adder::io {

class ByteCursor {
 public:
  /// Borrows `bytes`; `what` names them in errors ("the zip directory"), `where` the file.
  ByteCursor(std::string_view bytes, std::string what, std::string where)
      : bytes_(bytes), what_(std::move(what)), where_(std::move(where)) {}

  std::size_t position() const { return position_; }
  std::size_t left() const { return bytes_.size() - position_; }

  std::string_view take(uint64_t count) {
    if (count > left()) {
      throw Error(ErrorKind::kFormat, {.what = what_ + " is cut short",
                                       .where = where_ + ", byte " + std::to_string(position_),
                                       .why = std::to_string(count) + " bytes are due, " +
                                              std::to_string(left()) + " are left",
                                       .next = "an incomplete download or a corrupt file?"});
    }
    const std::string_view taken = bytes_.substr(position_, static_cast<std::size_t>(count));
    position_ += static_cast<std::size_t>(count);
    return taken;
  }

  /// An unsigned integer of `count` <= 8 bytes.
  uint64_t integer(int count) {
    const std::string_view taken = take(static_cast<uint64_t>(count));
    uint64_t value = 0;
    for (std::size_t i = taken.size(); i-- > 0;) {
      value = value << 8 | static_cast<unsigned char>(taken[i]);
    }
    return value;
  }

  /// The bytes before the next newline, which is taken too.
  std::string_view line() {
    const std::size_t end = bytes_.find('\n', position_);
    const std::size_t length = end == std::string_view::npos ? left() : end - position_;
    const std::string_view text = take(length);
    take(1);
    return text;
  }

 private:
  std::string_view bytes_;
  std::string what_, where_;
  std::size_t position_ = 0;
};

}  // namespace adder::io
