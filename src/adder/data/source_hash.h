// What names the folder that keeps the shards of a text.
#pragma once

#include <string>

#include "adder/data/corpus_reader.h"

namespace adder::data {

/// 32 hex digits over the bytes of all files and over what else the shards depend on. `tokenizer`
/// null: one that is made from the text.
std::string hash_source(const DataOptions& options, const Corpora& corpora,
                        const text::ChatTemplate* chat, const text::Tokenizer* tokenizer,
                        const ProgressCallback& progress);

}  // namespace adder::data
