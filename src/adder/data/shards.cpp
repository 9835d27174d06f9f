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

std::vector<int64_t> read_documents(const io::MappedFile& file, int64_t tokens) {
  std::vector<int64_t> starts(static_cast<size_t>(file.size() / 8));
  std::memcpy(starts.data(), file.bytes().data(), starts.size() * 8);
  int64_t last = -1;
  for (const int64_t start : starts) {
    if (start <= last || start >= tokens || (last < 0 && start != 0)) {
      throw Error(ErrorKind::kFormat,
                  {.what = "the document starts do not fit the tokens",
                   .where = file.path().string(),
                   .why = fmt::format("start {} comes after {}, of {} tokens", start, last, tokens),
                   .next = "remove the folder and encode the text again"});
    }
    last = start;
  }
  return starts;
}

template <typename Stored>
Stored stored_at(const io::MappedFile& file, int64_t index) {
  Stored value;
  std::memcpy(&value, file.bytes().data() + index * static_cast<int64_t>(sizeof(Stored)),
              sizeof(Stored));
  return value;
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
  const io::MappedFile file = map_checked(folder, documents, 8);
  check_hash(file, documents.hash);
  set.documents_ = read_documents(file, set.manifest_.tokens);
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
  const auto at = static_cast<size_t>(index);
  return {documents_[at], at + 1 < documents_.size() ? documents_[at + 1] : size()};
}

int64_t ShardSet::document_at(int64_t position) const {
  if (position < 0 || position >= size()) throw_out_of_range(position, position + 1, size());
  return std::upper_bound(documents_.begin(), documents_.end(), position) - documents_.begin() - 1;
}

}  // namespace adder::data
