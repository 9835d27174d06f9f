#include "adder/data/shards.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "adder/base/error.h"
#include "adder/io/hash.h"

namespace adder::data {
namespace {

static_assert(std::endian::native == std::endian::little, "shards are mapped as they are");

/// A map of a file of the manifest, of the size that the manifest promises.
io::MappedFile map_checked(const std::filesystem::path& folder, const ShardFile& entry,
                           int64_t element_bytes) {
  io::MappedFile file(folder / entry.file);
  int64_t expected = 0;
  const bool overflow = __builtin_mul_overflow(entry.count, element_bytes, &expected);
  if (overflow || file.size() != expected) {
    throw Error(ErrorKind::kFormat,
                {.what = "a file of token shards has the wrong size",
                 .where = file.path().string(),
                 .why = fmt::format("it has {} bytes, {} promises {} elements of {} bytes",
                                    file.size(), kManifestName, entry.count, element_bytes),
                 .next = "remove the folder and encode the text again"});
  }
  return file;
}

void check_hash(const io::MappedFile& file, const std::string& expected) {
  file.check_size();
  const std::string found = io::hash128_hex(file.bytes());
  if (found == expected) return;
  throw Error(ErrorKind::kFormat,
              {.what = "a file of token shards was changed or damaged",
               .where = file.path().string(),
               .why = fmt::format("its XXH3-128 is {}, {} says {}", found, kManifestName, expected),
               .next = "remove the folder and encode the text again"});
}

[[noreturn]] void throw_out_of_range(int64_t begin, int64_t end, int64_t size) {
  throw Error(
      ErrorKind::kInternal,
      {.what = fmt::format("tokens [{}, {}) of a stream of {} were asked for", begin, end, size)});
}

template <typename Stored>
Stored stored_at(const io::MappedFile& file, int64_t index) {
  Stored value;
  std::memcpy(&value, file.bytes().data() + index * static_cast<int64_t>(sizeof(Stored)),
              sizeof(Stored));
  return value;
}

/// Throws unless the u64s of `file` rise (twice the same only where `pairs` touch), from `lowest`
/// to `highest`.
void check_rising(const io::MappedFile& file, int64_t lowest, int64_t highest, bool pairs) {
  int64_t last = lowest;
  for (int64_t i = 0; i < file.size() / 8; ++i) {
    const auto value = stored_at<int64_t>(file, i);
    const bool may_repeat = i == 0 || (pairs && i % 2 == 0);
    if (value < last || (value == last && !may_repeat) || value > highest) {
      throw Error(ErrorKind::kFormat,
                  {.what = pairs ? "the answers do not fit the tokens"
                                 : "the document starts do not fit the tokens",
                   .where = file.path().string(),
                   .why = fmt::format("{} comes after {}, of at most {}", value, last, highest),
                   .next = "remove the folder and encode the text again"});
    }
    last = value;
  }
}

/// The first of `count` indices at which is_after() holds; it must hold from there on.
template <typename Predicate>
int64_t first_index(int64_t count, Predicate is_after) {
  int64_t low = 0;
  while (count > 0) {
    const int64_t half = count / 2;
    if (is_after(low + half)) {
      count = half;
    } else {
      low += half + 1;
      count -= half + 1;
    }
  }
  return low;
}

template <typename Stored>
void widen(const io::MappedFile& file, int64_t begin, std::span<int32_t> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<int32_t>(stored_at<Stored>(file, begin + static_cast<int64_t>(i)));
  }
}

template <typename Stored>
uint32_t largest(const io::MappedFile& file, int64_t count) {
  uint32_t result = 0;
  for (int64_t i = 0; i < count; ++i)
    result = std::max<uint32_t>(result, stored_at<Stored>(file, i));
  return result;
}

}  // namespace

ShardSet ShardSet::open(const std::filesystem::path& folder) {
  ShardSet set;
  set.folder_ = folder;
  set.manifest_ = ShardManifest::read(folder);
  int64_t begin = 0;
  for (const ShardFile& entry : set.manifest_.shards) {
    set.shards_.push_back({map_checked(folder, entry, set.manifest_.token_bytes), begin,
                           std::make_unique<std::atomic<bool>>(false)});
    begin += entry.count;
  }
  const ShardFile& documents = set.manifest_.documents;
  set.documents_.emplace(map_checked(folder, documents, 8));
  check_hash(*set.documents_, documents.hash);
  check_rising(*set.documents_, 0, set.size() - 1, false);
  if (stored_at<int64_t>(*set.documents_, 0) != 0) {
    throw Error(ErrorKind::kFormat, {.what = "the first document does not begin with the tokens",
                                     .where = set.documents_->path().string()});
  }
  int64_t document = 0;
  int64_t token = 0;
  for (const ShardPart& part : set.manifest_.parts) {
    if (set.document(document).begin != token) {
      throw Error(ErrorKind::kFormat,
                  {.what = "a part of the token shards does not begin with a document",
                   .where = (folder / kManifestName).string() + ": part \"" + part.name + "\""});
    }
    document += part.documents;
    token += part.tokens;
  }
  if (const auto& answers = set.manifest_.answers) {
    set.answers_.emplace(map_checked(folder, *answers, 16));
    check_hash(*set.answers_, answers->hash);
    check_rising(*set.answers_, 0, set.size(), true);
  }
  return set;
}

void ShardSet::verify(const Shard& shard) const {
  if (shard.verified->load(std::memory_order_acquire)) return;
  const ShardFile& entry = manifest_.shards[static_cast<size_t>(&shard - shards_.data())];
  check_hash(shard.file, entry.hash);
  const uint32_t top = manifest_.token_bytes == 2 ? largest<uint16_t>(shard.file, entry.count)
                                                  : largest<uint32_t>(shard.file, entry.count);
  if (int64_t{top} >= manifest_.vocab_size) {
    throw Error(ErrorKind::kFormat,
                {.what = "a file of token shards holds ids outside the vocabulary",
                 .where = shard.file.path().string(),
                 .why = fmt::format("id {} of a vocabulary of {}", top, manifest_.vocab_size)});
  }
  shard.verified->store(true, std::memory_order_release);
}

void ShardSet::verify() const {
  for (const Shard& shard : shards_) verify(shard);
}

const ShardSet::Shard& ShardSet::shard_at(int64_t position) const {
  const auto after = std::upper_bound(shards_.begin(), shards_.end(), position,
                                      [](int64_t p, const Shard& s) { return p < s.begin; });
  const Shard& shard = *(after - 1);
  verify(shard);
  return shard;
}

int32_t ShardSet::token(int64_t position) const {
  int32_t id = 0;
  copy(position, {&id, 1});
  return id;
}

void ShardSet::copy(int64_t begin, std::span<int32_t> out) const {
  const auto count = static_cast<int64_t>(out.size());
  if (begin < 0 || count > size() - begin) throw_out_of_range(begin, begin + count, size());
  while (!out.empty()) {
    const Shard& shard = shard_at(begin);
    const auto index = static_cast<size_t>(&shard - shards_.data());
    const int64_t left = shard.begin + manifest_.shards[index].count - begin;
    const auto part = out.first(std::min(out.size(), static_cast<size_t>(left)));
    if (manifest_.token_bytes == 2) {
      widen<uint16_t>(shard.file, begin - shard.begin, part);
    } else {
      widen<uint32_t>(shard.file, begin - shard.begin, part);
    }
    begin += static_cast<int64_t>(part.size());
    out = out.subspan(part.size());
  }
}

std::vector<int32_t> ShardSet::copy(TokenRange range) const {
  if (range.begin < 0 || range.end < range.begin || range.end > size()) {
    throw_out_of_range(range.begin, range.end, size());
  }
  std::vector<int32_t> ids(static_cast<size_t>(range.size()));
  copy(range.begin, ids);
  return ids;
}

TokenRange ShardSet::document(int64_t index) const {
  if (index < 0 || index >= document_count()) {
    throw Error(ErrorKind::kInternal,
                {.what = fmt::format("document {} of {} was asked for", index, document_count())});
  }
  return {stored_at<int64_t>(*documents_, index),
          index + 1 < document_count() ? stored_at<int64_t>(*documents_, index + 1) : size()};
}

int64_t ShardSet::document_at(int64_t position) const {
  if (position < 0 || position >= size()) throw_out_of_range(position, position + 1, size());
  const auto is_after = [&](int64_t i) { return stored_at<int64_t>(*documents_, i) > position; };
  return first_index(document_count(), is_after) - 1;
}

void ShardSet::copy_answers(int64_t begin, std::span<bool> out) const {
  std::ranges::fill(out, false);
  const int64_t end = begin + static_cast<int64_t>(out.size());
  const int64_t count = manifest_.answers->count;
  const auto ends_after = [&](int64_t i) {
    return stored_at<int64_t>(*answers_, 2 * i + 1) > begin;
  };
  for (int64_t i = first_index(count, ends_after); i < count; ++i) {
    const int64_t from = std::max(stored_at<int64_t>(*answers_, 2 * i), begin);
    const int64_t to = std::min(stored_at<int64_t>(*answers_, 2 * i + 1), end);
    if (from >= end) break;
    std::fill(out.begin() + (from - begin), out.begin() + (to - begin), true);
  }
}

}  // namespace adder::data
