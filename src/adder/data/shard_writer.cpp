#include "adder/data/shard_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "adder/base/error.h"
#include "adder/data/shard_file_writer.h"

namespace adder::data {

ShardWriter::ShardWriter(const std::filesystem::path& folder, const text::Tokenizer& tokenizer,
                         Settings settings)
    : tokenizer_(tokenizer),
      settings_(settings),
      directory_(folder),
      encoder_(tokenizer, settings.piece_bytes),
      documents_(std::make_unique<ShardFileWriter>(directory_.staging(), "documents.bin")) {
  if (settings_.shard_tokens < 1 || settings_.piece_bytes < 1) {
    throw Error(ErrorKind::kConfig, {.what = "a shard must hold at least one token"});
  }
  manifest_.vocab_size = tokenizer.vocab_size();
  manifest_.token_bytes = manifest_.vocab_size <= 65536 ? 2 : 4;
  manifest_.eos_id = tokenizer.eos_id();
  manifest_.tokenizer_kind = tokenizer.kind();
  manifest_.tokenizer_hash = tokenizer.hash();
  manifest_.parts.emplace_back();
}

ShardWriter::~ShardWriter() = default;

void ShardWriter::begin_part(const std::string& name, bool held_out) {
  if (manifest_.parts.back().tokens > 0) manifest_.parts.emplace_back();
  manifest_.parts.back().name = name;
  manifest_.parts.back().held_out = held_out;
}

void ShardWriter::add_text(const TextPiece& piece) {
  if (piece.first) begin_document();
  if (const auto bos = tokenizer_.bos_id(); piece.first && bos) append({&*bos, 1});
  append(encoder_.feed(piece.text, piece.last));
  manifest_.parts.back().source_bytes += static_cast<int64_t>(piece.text.size());
  if (piece.last && manifest_.eos_id) append({&*manifest_.eos_id, 1});
}

void ShardWriter::add_document(std::string_view text) {
  if (!text.empty()) add_text({.text = text, .first = true, .last = true});
}

void ShardWriter::add_document(std::span<const int32_t> ids, std::span<const uint8_t> answers) {
  if (ids.empty()) return;
  for (const int32_t id : ids) {
    if (id >= 0 && id < manifest_.vocab_size) continue;
    throw Error(ErrorKind::kUsage,
                {.what = fmt::format("token id {} is not in the vocabulary", id),
                 .why = fmt::format("the tokenizer has ids 0 to {}", manifest_.vocab_size - 1)});
  }
  if (!answers.empty()) append_answers(tokens(), answers);
  begin_document();
  append(ids);
}

void ShardWriter::append_answers(int64_t begin, std::span<const uint8_t> answers) {
  if (!answers_) {
    answers_ = std::make_unique<ShardFileWriter>(directory_.staging(), "answers.bin");
  }
  for (size_t at = 0; at < answers.size();) {
    size_t end = at;
    while (end < answers.size() && answers[end] != 0) ++end;
    if (end > at) {
      answers_->add(static_cast<uint64_t>(begin) + at, 8);
      answers_->add(static_cast<uint64_t>(begin) + end, 8);
      answers_->count(1);
    }
    at = end + 1;
  }
}

void ShardWriter::append(std::span<const int32_t> ids) {
  if (document_begins_ && !ids.empty()) {
    documents_->add(static_cast<uint64_t>(tokens()), 8);
    documents_->count(1);
    ++manifest_.parts.back().documents;
    document_begins_ = false;
  }
  for (const int32_t id : ids) {
    if (!shard_) {
      const auto name = fmt::format("tokens-{:05}.bin", manifest_.shards.size());
      shard_ = std::make_unique<ShardFileWriter>(directory_.staging(), name);
    }
    shard_->add(static_cast<uint64_t>(id), manifest_.token_bytes);
    shard_->count(1);
    if (shard_->count() == settings_.shard_tokens) close_shard();
  }
  manifest_.tokens += static_cast<int64_t>(ids.size());
  manifest_.parts.back().tokens += static_cast<int64_t>(ids.size());
}

void ShardWriter::close_shard() {
  manifest_.shards.push_back(shard_->finish());
  shard_.reset();
}

void ShardWriter::add_file(const std::string& name, std::string_view content) {
  io::write_file_atomic(directory_.staging() / name, content);
}

void ShardWriter::add_note(const std::string& note) {
  if (!note.empty()) manifest_.notes.push_back(note);
}

ShardManifest ShardWriter::finish(const std::string& source) {
  if (manifest_.tokens == 0) {
    throw Error(ErrorKind::kUsage, {.what = "there are no tokens to write"});
  }
  if (shard_) close_shard();
  if (manifest_.parts.back().tokens == 0) manifest_.parts.pop_back();
  manifest_.documents = documents_->finish();
  if (answers_) manifest_.answers = answers_->finish();
  manifest_.source = source;
  tokenizer_.save(directory_.staging() / tokenizer_.file_name());
  io::write_json_file(directory_.staging() / kManifestName, manifest_.to_json());
  directory_.commit();
  return manifest_;
}

}  // namespace adder::data
