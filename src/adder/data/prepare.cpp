#include "adder/data/prepare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <cstdlib>

#include "adder/base/error.h"
#include "adder/data/make_tokenizer.h"
#include "adder/data/shard_writer.h"
#include "adder/data/source_hash.h"
#include "adder/io/file.h"

namespace adder::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTemplateName = "chat_template.json";

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

std::string join_notes(const ShardManifest& manifest) {
  return fmt::format("{}", fmt::join(manifest.notes, "; "));
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

[[noreturn]] void throw_none_left(const DataOptions& options, const Corpus& corpus) {
  const char* key = options.val_text.empty() ? "data.val_documents" : "data.val_text";
  throw Error(ErrorKind::kConfig,
              {.what = "every document of a text is held out, none is left to train on",
               .where = fmt::format("{}, \"{}\"", key, corpus.name),
               .next = "hold out less, or give more documents"});
}

/// The trained documents of each corpus as one part, then what is held out as another.
void encode(const DataOptions& options, const Corpora& corpora, CorpusReader& reader,
            const text::Tokenizer& tokenizer, ShardWriter& writer) {
  const bool by_content = options.val_documents > 0;
  // What is chosen by content is read once more, for the part held out.
  const auto again = by_content ? corpora.text_files() : corpora.held_out;
  reader.hold_out(corpora.held_out);
  auto files = corpora.text_files();
  files.insert(files.end(), again.begin(), again.end());
  reader.begin_phase("encoding", files);
  for (const Corpus& corpus : corpora.text) {
    writer.begin_part(corpus.name, false);
    if (reader.encode(corpus, Take::kTrained, tokenizer, writer) == 0) {
      throw_none_left(options, corpus);
    }
  }
  if (const int64_t copies = reader.copies_left_out()) {
    writer.add_note(
        fmt::format("{} left out of training: also in data.val_text",
                    copies == 1 ? "a document was" : fmt::format("{} documents were", copies)));
  }
  if (!by_content && corpora.held_out.empty()) return;
  writer.begin_part("held out", true);
  if (!by_content) {
    reader.encode({.files = corpora.held_out}, Take::kAll, tokenizer, writer);
    return;
  }
  int64_t held_out = 0;
  for (const Corpus& corpus : corpora.text) {
    held_out += reader.encode(corpus, Take::kHeldOut, tokenizer, writer);
  }
  if (held_out > 0) return;
  throw Error(ErrorKind::kConfig,
              {.what = "no document is held out",
               .where = "data.val_documents",
               .why = fmt::format("by chance none falls into a share of {}", options.val_documents),
               .next = "hold out a larger share, give more documents, or name texts in "
                       "data.val_text"});
}

/// Shards that the user made, with what they say of themselves.
PreparedData open_shards(const DataOptions& options, const fs::path& folder,
                         std::shared_ptr<const text::Tokenizer> tokenizer) {
  const auto refuse = [&](const char* key, const std::string& what, const char* next) {
    throw Error(ErrorKind::kConfig,
                {.what = what,
                 .where = std::string("data.") + key,
                 .why = folder.string() + " holds token shards, which are used as they are",
                 .next = next});
  };
  if (!options.val_text.empty()) {
    refuse("val_text", "text cannot be added", "give it to `adder data shard`");
  }
  if (options.val_documents > 0) {
    refuse("val_documents", "documents cannot be chosen any more",
           "give it to `adder data shard`, or use data.val_fraction");
  }
  if (options.max_documents > 0) {
    refuse("max_documents", "documents cannot be left out any more",
           "give it to `adder data shard`");
  }
  PreparedData data;
  data.shards = std::make_shared<const ShardSet>(ShardSet::open(folder));
  data.shards->verify();
  if (!tokenizer && fs::exists(options.tokenizer)) {
    tokenizer = text::load_tokenizer(options.tokenizer);
  }
  if (tokenizer && tokenizer->hash() != data.shards->manifest().tokenizer_hash) {
    refuse("tokenizer", "the tokenizer is not the one of the token shards",
           "make the shards with this tokenizer");
  }
  data.tokenizer = tokenizer ? std::move(tokenizer) : text::load_tokenizer(folder);
  if (fs::exists(folder / kTemplateName)) {
    data.chat_template = text::load_chat_template((folder / kTemplateName).string()).to_json();
  }
  data.split = split_tokens(*data.shards, options.val_fraction, options.weights);
  data.reused = true;
  data.note = join_notes(data.shards->manifest());
  return data;
}

}  // namespace

ShardManifest write_shards(const DataOptions& options, const fs::path& folder,
                           const ProgressCallback& progress,
                           std::shared_ptr<const text::Tokenizer> tokenizer,
                           const std::string& source) {
  if (const auto made = shard_folder(options)) {
    throw Error(ErrorKind::kConfig, {.what = "these are token shards already",
                                     .where = made->string(),
                                     .next = "name the text files"});
  }
  const Corpora corpora = list_corpora(options);
  CorpusReader reader(options, progress);
  if (!tokenizer) tokenizer = make_tokenizer(options, progress);
  ShardWriter writer(folder, *tokenizer);
  for (const std::string& note : corpora.notes) writer.add_note(note);
  writer.add_note(tokenizer_note(options, reader.chat(), *tokenizer));
  encode(options, corpora, reader, *tokenizer, writer);
  writer.add_note(reader.left_out_note());
  if (reader.chat() != nullptr) writer.add_file(kTemplateName, reader.chat()->to_json());
  return writer.finish(source);
}

PreparedData prepare(const DataOptions& options, const ProgressCallback& progress,
                     std::shared_ptr<const text::Tokenizer> tokenizer) {
  if (const auto made = shard_folder(options)) {
    return open_shards(options, *made, std::move(tokenizer));
  }
  const CorpusReader reader(options, {});
  if (!tokenizer && !learnt_from_text(options.tokenizer)) tokenizer = make_tokenizer(options);
  const std::string source =
      hash_source(options, list_corpora(options), reader.chat(), tokenizer.get(), progress);
  const fs::path folder = cache_folder(options) / source;

  PreparedData data;
  data.shards = open_kept(folder, data.note);
  data.reused = data.shards != nullptr;
  if (!data.reused) {
    io::make_directories(folder.parent_path());
    io::remove_old_temporaries(folder.parent_path(), std::chrono::days(1));
    try {
      write_shards(options, folder, progress, tokenizer, source);
    } catch (const Error&) {
      // Another process may have put the same shards into place meanwhile: they serve as well.
      if (!fs::exists(folder / kManifestName)) throw;
    }
    data.shards = std::make_shared<const ShardSet>(ShardSet::open(folder));
  }
  data.tokenizer = tokenizer ? std::move(tokenizer) : text::load_tokenizer(folder);
  if (reader.chat() != nullptr) data.chat_template = reader.chat()->to_json();
  data.split = split_tokens(*data.shards, options.val_fraction, options.weights);
  for (size_t i = 0; i < options.weights.size(); ++i) {  // kept shards may remember other names
    data.split.train[i].name = options.text[i];
  }
  const std::string notes = join_notes(data.shards->manifest());
  data.note += data.note.empty() || notes.empty() ? notes : "; " + notes;
  return data;
}

}  // namespace adder::data
