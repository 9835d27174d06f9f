// From text files to token shards, made once and reused: what `adder train` and `adder data` call.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adder/data/corpus_reader.h"
#include "adder/data/options.h"
#include "adder/data/shards.h"
#include "adder/data/split.h"
#include "adder/text/tokenizer.h"

namespace adder::data {

/// What training needs to know about its text.
struct PreparedData {
  std::shared_ptr<const ShardSet> shards;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  Split split;
  bool reused = false;        // the shards were there already
  std::string chat_template;  // of conversations: what chat_template.json of the model is to hold
  std::string note;  // what the user should know, or empty: damaged shards were made again, files
                     // were passed over, a chat template does not fit the tokenizer, ...
};

/// Encodes the text into a folder of options.cache named by the hash of the files, the options and
/// the tokenizer, or opens that folder when it is there and whole. Memory is bounded whatever the
/// size of the text. `tokenizer` given: used instead of options.tokenizer (fine-tuning: the model's
/// own). Throws what list_corpora(), DocumentStream, ConversationStream, load_tokenizer() and
/// ShardSet::open() throw, and kConfig where nothing is left to train or to hold out. Where
/// data.text is one folder of shards (shard_folder()), they are used as they are: their tokenizer
/// and template, all hashes checked.
PreparedData prepare(const DataOptions& options, const ProgressCallback& progress = {},
                     std::shared_ptr<const text::Tokenizer> tokenizer = nullptr);

/// The same into `folder`, which must not exist. `tokenizer` null: what the options name. `source`
/// is kept in the manifest.
ShardManifest write_shards(const DataOptions& options, const std::filesystem::path& folder,
                           const ProgressCallback& progress = {},
                           std::shared_ptr<const text::Tokenizer> tokenizer = nullptr,
                           const std::string& source = {});

}  // namespace adder::data
