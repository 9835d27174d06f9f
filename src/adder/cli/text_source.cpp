#include "adder/cli/text_source.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "adder/base/error.h"
#include "adder/base/printable.h"
#include "adder/cli/output.h"
#include "adder/text/utf8.h"

namespace adder::cli {
namespace {

constexpr size_t kChunk = size_t{1} << 16;
constexpr size_t kPiece = size_t{1} << 14;  // encoded, and read by a model, at a time

}  // namespace

TextSource::TextSource(const std::string& file, const text::Tokenizer& tokenizer, bool begins)
    : file_(file == "-" ? nullptr : std::make_unique<io::ByteStream>(file)),
      tokenizer_(tokenizer),
      encoder_(tokenizer, kPiece),
      begins_(begins) {}

size_t TextSource::read(std::span<std::byte> out) {
  if (file_) return file_->read(out);
  const ssize_t count = ::read(0, out.data(), out.size());
  if (count >= 0) return static_cast<size_t>(count);
  throw Error(
      ErrorKind::kIo,
      {.what = "cannot read the text", .where = "standard input", .why = std::strerror(errno)});
}

std::span<const int32_t> TextSource::next() {
  ids_.clear();
  if (begins_ && tokenizer_.bos_id()) ids_.push_back(*tokenizer_.bos_id());
  begins_ = false;
  std::array<char, kChunk> buffer;
  while (ids_.empty() && !ended_) {
    const size_t count = read(std::as_writable_bytes(std::span(buffer)));
    ended_ = count == 0;
    open_.append(buffer.data(), count);
    const size_t whole = ended_ ? open_.size() : text::code_point_boundary(open_, open_.size());
    const std::string_view text = std::string_view(open_).substr(0, whole);
    ids_ = encoder_.feed(text, ended_);
    open_.erase(0, whole);
  }
  if (ids_.empty()) say_dropped(encoder_.take_left_out().list());
  return ids_;
}

void say_dropped(std::span<const text::Dropped> dropped) {
  constexpr size_t kMostShown = 8;
  constexpr size_t kMostBytes = 16;
  if (dropped.empty()) return;
  std::string list;
  for (const auto& [character, count] : dropped.first(std::min(dropped.size(), kMostShown))) {
    list += (list.empty() ? "'" : ", '") + printable(character, kMostBytes) + "'";
    if (count > 1) list += fmt::format(" ({} times)", count);
  }
  if (dropped.size() > kMostShown) list += fmt::format(" and {} more", dropped.size() - kMostShown);
  say("note: left out, for the vocabulary cannot write it: " + list);
}

}  // namespace adder::cli
