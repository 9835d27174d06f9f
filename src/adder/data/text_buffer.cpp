#include "adder/data/text_buffer.h"

#include <algorithm>

namespace adder::data {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kReadBytes = size_t{1} << 18;

}  // namespace

TextBuffer::TextBuffer(const std::filesystem::path& file)
    : stream_(file), place_{.file = file.string()} {
  fill(kByteOrderMark.size());
  check_encoding(view(), place_.file);
  if (!view().starts_with(kByteOrderMark)) return;
  taken_ += kByteOrderMark.size();
  place_.byte += static_cast<int64_t>(kByteOrderMark.size());
}

bool TextBuffer::fill(size_t bytes) {
  while (view().size() < bytes && !ended_) {
    if (taken_ > kReadBytes) {
      buffer_.erase(0, taken_);
      taken_ = 0;
    }
    const size_t size = buffer_.size();
    buffer_.resize(size + kReadBytes);
    const size_t count = stream_.read(std::as_writable_bytes(std::span(buffer_).subspan(size)));
    buffer_.resize(size + count);
    ended_ = count == 0;
  }
  return view().size() >= bytes;
}

void TextBuffer::take(size_t bytes) {
  place_.line += std::ranges::count(view().substr(0, bytes), '\n');
  place_.byte += static_cast<int64_t>(bytes);
  taken_ += bytes;
}

}  // namespace adder::data
