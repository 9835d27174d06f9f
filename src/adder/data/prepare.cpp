#include "adder/data/prepare.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <set>

#include "adder/base/error.h"
#include "adder/data/corpus.h"
#include "adder/data/shard_writer.h"
#include "adder/io/hash.h"
#include "adder/text/byte_tokenizer.h"
#include "adder/text/char_tokenizer.h"

namespace adder::data {
namespace {

namespace fs = std::filesystem;

fs::path cache_folder(const DataOptions& options) {
  if (!options.cache.empty()) return options.cache;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != 0) {
    return fs::path(cache) / "adder" / "tokens";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != 0) {
    return fs::path(home) / ".cache" / "adder" / "tokens";
  }
  throw Error(ErrorKind::kConfig, {.what = "there is no place to keep encoded text",
                                   .where = "data.cache",
                                   .why = "neither XDG_CACHE_HOME nor HOME is set",
                                   .next = "set data.cache to a folder"});
}

/// The kept shards when they are whole, else null. Damaged ones are removed and `note` says so.
std::shared_ptr<const ShardSet> open_kept(const fs::path& folder, std::string& note) {
  if (!fs::exists(folder)) return nullptr;
  try {
    auto shards = std::make_shared<const ShardSet>(ShardSet::open(folder));
    shards->verify();
    return shards;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kFormat && error.kind() != ErrorKind::kNotFound) throw;
    note = fmt::format("the encoded text kept in {} was damaged ({}); it was made again",
                       folder.string(), error.text().what);
  }
  std::error_code failed;
  fs::remove_all(folder, failed);
  if (failed) {
    throw Error(ErrorKind::kIo, {.what = "cannot remove damaged token shards",
                                 .where = folder.string(),
                                 .why = failed.message()});
  }
  return nullptr;
}

void encode(const Corpus& corpus, const text::Tokenizer& tokenizer, const fs::path& folder,
            const std::string& source, const ProgressCallback& progress) {
  ShardWriter::Settings settings;
  if (progress) {
    settings.progress = [&, total = corpus.bytes()](int64_t done) { progress(done, total); };
  }
  try {
    ShardWriter writer(folder, tokenizer, settings);
    for (const std::string_view document : corpus.documents()) writer.add_document(document);
    writer.finish(source);
  } catch (const Error&) {
    // Another process may have put the same shards into place meanwhile: they serve as well.
    if (!fs::exists(folder / kManifestName)) throw;
  }
}

}  // namespace

std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out.push_back(text[i]);
      continue;
    }
    const char kind = ++i < text.size() ? text[i] : 0;
    switch (kind) {
      case 'n':
        out.push_back('\n');
        break;
      case 't':
        out.push_back('\t');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case '\\':
        out.push_back('\\');
        break;
      default:
        throw Error(ErrorKind::kConfig, {.what = fmt::format("\"{}\" has an unknown escape", text),
                                         .next = "known are \\n, \\t, \\r and \\\\"});
    }
  }
  return out;
}

std::unique_ptr<text::Tokenizer> make_tokenizer(const std::string& spec,
                                                const std::vector<std::string_view>& documents) {
  if (spec == "byte") return std::make_unique<text::ByteTokenizer>();
  if (spec != "char") return text::load_tokenizer(spec);
  std::set<char32_t> characters;
  for (const std::string_view document : documents) {
    text::collect_characters(document, characters);
  }
  text::CharVocabulary vocabulary{.characters = {characters.begin(), characters.end()},
                                  .eos = documents.size() > 1};
  return std::make_unique<text::CharTokenizer>(std::move(vocabulary));
}

PreparedData prepare(const DataOptions& options, const ProgressCallback& progress,
                     std::shared_ptr<const text::Tokenizer> tokenizer) {
  if (options.text.empty()) {
    throw Error(
        ErrorKind::kConfig,
        {.what = "no text is given", .where = "data.text", .next = "name one text file or more"});
  }
  const std::vector<fs::path> paths(options.text.begin(), options.text.end());
  const Corpus corpus = Corpus::open(paths, unescape(options.separator));
  PreparedData data;
  data.tokenizer =
      tokenizer ? std::move(tokenizer) : make_tokenizer(options.tokenizer, corpus.documents());

  const std::string source = fmt::format("format {} text {} tokenizer {}", ShardManifest::kVersion,
                                         corpus.hash(), data.tokenizer->hash());
  const fs::path folder = cache_folder(options) / io::hash128_hex(io::as_bytes(source));
  data.shards = open_kept(folder, data.note);
  data.reused = data.shards != nullptr;
  if (!data.reused) {
    io::make_directories(folder.parent_path());
    io::remove_old_temporaries(folder.parent_path(), std::chrono::days(1));
    encode(corpus, *data.tokenizer, folder, source, progress);
    data.shards = std::make_shared<const ShardSet>(ShardSet::open(folder));
  }
  data.split = split_tokens(*data.shards, options.val_fraction);
  return data;
}

}  // namespace adder::data
