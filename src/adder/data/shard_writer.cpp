#include "adder/data/shard_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "adder/base/error.h"

namespace adder::data {
namespace {

constexpr const char* kDocumentsName = "documents.bin";

/// The ids as they stand in a shard, little endian.
template <typename Stored>
std::vector<std::byte> pack(std::span<const int32_t> ids) {
  std::vector<std::byte> bytes(ids.size() * sizeof(Stored));
  for (size_t i = 0; i < ids.size(); ++i) {
    for (size_t k = 0; k < sizeof(Stored); ++k) {
      bytes[i * sizeof(Stored) + k] =
          static_cast<std::byte>(static_cast<uint32_t>(ids[i]) >> (8 * k));
    }
  }
  return bytes;
}

}  // namespace

ShardWriter::ShardWriter(const std::filesystem::path& folder, const text::Tokenizer& tokenizer,
                         Settings settings)
    : tokenizer_(tokenizer), settings_(std::move(settings)), directory_(folder) {
  if (settings_.shard_tokens < 1 || settings_.piece_bytes < 1) {
    throw Error(ErrorKind::kConfig, {.what = "a shard must hold at least one token"});
  }
  manifest_.vocab_size = tokenizer.vocab_size();
  manifest_.token_bytes = manifest_.vocab_size <= 65536 ? 2 : 4;
  manifest_.eos_id = tokenizer.eos_id();
  manifest_.tokenizer_kind = tokenizer.kind();
  manifest_.tokenizer_hash = tokenizer.hash();
}

void ShardWriter::begin_document() {
  documents_.push_back(static_cast<uint64_t>(tokens()));
}

void ShardWriter::add_document(std::string_view text) {
  if (text.empty()) return;
  begin_document();
  size_t done = 0;
  while (done < text.size()) {
    const std::string_view rest = text.substr(done);
    const size_t piece = tokenizer_.cut_at(rest, settings_.piece_bytes);
    try {
      append(tokenizer_.encode(rest.substr(0, piece)));
    } catch (const Error& error) {
      throw error.within(fmt::format("document {}, from byte {}", documents_.size() - 1, done));
    }
    done += piece;
    manifest_.source_bytes += static_cast<int64_t>(piece);
    if (settings_.progress) settings_.progress(manifest_.source_bytes);
  }
  if (manifest_.eos_id) append({&*manifest_.eos_id, 1});
}

void ShardWriter::add_document(std::span<const int32_t> ids) {
  if (ids.empty()) return;
  for (const int32_t id : ids) {
    if (id >= 0 && id < manifest_.vocab_size) continue;
    throw Error(ErrorKind::kUsage,
                {.what = fmt::format("token id {} is not in the vocabulary", id),
                 .why = fmt::format("the tokenizer has ids 0 to {}", manifest_.vocab_size - 1)});
  }
  begin_document();
  append(ids);
}

void ShardWriter::append(std::span<const int32_t> ids) {
  while (!ids.empty()) {
    if (!file_) {
      const auto name = fmt::format("tokens-{:05}.bin", manifest_.shards.size());
      manifest_.shards.push_back({.file = name});
      file_ = std::make_unique<io::AtomicFile>(directory_.staging() / name);
      hash_ = std::make_unique<io::Hash128>();
    }
    const auto room = static_cast<size_t>(settings_.shard_tokens - shard_count_);
    const auto part = ids.first(std::min(ids.size(), room));
    const auto bytes = manifest_.token_bytes == 2 ? pack<uint16_t>(part) : pack<uint32_t>(part);
    file_->write(bytes);
    hash_->add(bytes);
    shard_count_ += static_cast<int64_t>(part.size());
    manifest_.tokens += static_cast<int64_t>(part.size());
    ids = ids.subspan(part.size());
    if (shard_count_ == settings_.shard_tokens) close_shard();
  }
}

void ShardWriter::close_shard() {
  file_->commit();
  manifest_.shards.back().count = shard_count_;
  manifest_.shards.back().hash = hash_->hex();
  file_.reset();
  hash_.reset();
  shard_count_ = 0;
}

ShardManifest ShardWriter::finish(const std::string& source) {
  if (manifest_.tokens == 0) {
    throw Error(ErrorKind::kUsage, {.what = "there are no tokens to write"});
  }
  if (file_) close_shard();
  std::vector<std::byte> starts;
  starts.reserve(documents_.size() * 8);
  for (const uint64_t start : documents_) {
    for (int k = 0; k < 8; ++k) starts.push_back(static_cast<std::byte>(start >> (8 * k)));
  }
  io::write_file_atomic(directory_.staging() / kDocumentsName, std::span<const std::byte>(starts));
  manifest_.documents = {.file = kDocumentsName,
                         .count = static_cast<int64_t>(documents_.size()),
                         .hash = io::hash128_hex(starts)};
  manifest_.source = source;
  tokenizer_.save(directory_.staging() / "tokenizer.json");
  io::write_json_file(directory_.staging() / kManifestName, manifest_.to_json());
  directory_.commit();
  return manifest_;
}

}  // namespace adder::data
