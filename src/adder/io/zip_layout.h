// What the reader and the writer of zip archives share (APPNOTE 6.3, 4.3).
#pragma once

#include <cstdint>

namespace adder::io::zip {

inline constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50;
inline constexpr uint32_t kEnd = 0x06054b50, kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
inline constexpr int64_t kLocalBytes = 30, kEndBytes = 22;  // with nothing of variable length
inline constexpr int64_t kEnd64Bytes = 56, kLocatorBytes = 20;
inline constexpr uint64_t kIn64 = 0xffffffff;       // the true value stands in the zip64 field
inline constexpr uint64_t kCountIn64 = 0xffff;      // the same, of a count of entries
inline constexpr uint64_t kExtra64 = 1;             // the zip64 field's id
inline constexpr uint64_t kSizesFollow = 1 << 3;    // flag: not in the local header
inline constexpr uint64_t kNamesAreUtf8 = 1 << 11;  // flag

}  // namespace adder::io::zip
