#include "adder/data/source_hash.h"

#include <fmt/format.h>

#include <algorithm>

#include "adder/data/inputs.h"
#include "adder/io/descriptor.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"

namespace adder::data {
namespace {

namespace fs = std::filesystem;
using Files = std::vector<fs::path>;

/// One line for each file: its kind and the hash of its bytes.
class FileHashes {
 public:
  FileHashes(const ProgressCallback& progress, const Files& files)
      : progress_(progress), total_(files_size(files)) {}

  std::string lines(const Files& files) {
    std::string lines;
    for (const fs::path& file : files) {
      lines += fmt::format("{} {}\n", is_jsonl(file) ? "jsonl" : "plain", hash(file));
    }
    return lines;
  }

 private:
  std::string hash(const fs::path& path) {
    const auto file = io::Descriptor::open_regular(path);
    const int64_t size = file.size();
    io::Hash128 hash;
    std::vector<std::byte> buffer(kPieceBytes);
    for (int64_t offset = 0; offset < size;) {
      const auto count =
          static_cast<size_t>(std::min<int64_t>(size - offset, static_cast<int64_t>(kPieceBytes)));
      const auto piece = std::span(buffer).first(count);
      file.read_at(offset, piece);
      hash.add(piece);
      offset += static_cast<int64_t>(count);
      done_ += static_cast<int64_t>(count);
      if (progress_) progress_("hashing", done_, total_);
    }
    return hash.hex();
  }

  const ProgressCallback& progress_;
  int64_t total_;
  int64_t done_ = 0;
};

}  // namespace

std::string hash_source(const DataOptions& options, const Corpora& corpora,
                        const text::ChatTemplate* chat, const text::Tokenizer* tokenizer,
                        const ProgressCallback& progress) {
  std::string source =
      fmt::format("format {}\nseparator {}\nfield {}\nheld out {}\n", ShardManifest::kVersion,
                  options.separator, options.field, options.val_documents);
  if (options.max_documents > 0) {
    source += fmt::format("first documents {}\n", options.max_documents);
  }
  if (chat != nullptr) source += "chat " + chat->to_json() + "\n";
  if (tokenizer != nullptr) {
    source += "tokenizer " + tokenizer->hash() + "\n";
  } else {
    source += fmt::format("tokenizer {}\n", options.tokenizer);
    if (options.tokenizer == "bpe") {
      source += fmt::format("{} tokens, tail {}\n", options.vocab_size, tail_share(options));
    }
    if (options.tokenizer == "word") {
      text::WordOptions word = options.word;
      for (const OptionEntry& entry : flatten(word)) {
        source += fmt::format("{} {}\n", entry.key, to_text(entry.value));
      }
      source += fmt::format("tail {}\n", tail_share(options));
    }
  }
  FileHashes hashes(progress, corpora.all_files());
  for (const Corpus& corpus : corpora.text) source += "text\n" + hashes.lines(corpus.files);
  source += "held out text\n" + hashes.lines(corpora.held_out);
  return io::hash128_hex(io::as_bytes(source));
}

}  // namespace adder::data
