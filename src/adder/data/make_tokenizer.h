// The tokenizer of a recipe.
#pragma once

#include <memory>
#include <string>

#include "adder/data/corpus_reader.h"
#include "adder/text/tokenizer.h"
#include "adder/text/word_tokenizer.h"

namespace adder::data {

/// Whether data.tokenizer names one that is made from the text: "char", "bpe" or "word".
bool learnt_from_text(const std::string& tokenizer);

/// The tokenizer that options.tokenizer names. "char" (with eos when there are several documents)
/// "bpe" and "word" are made from options.text; characters also from what is held out, else that
/// could not be encoded. bpe and word see nothing that is held out: no document of val_text or
/// val_documents, and of each text only the first 1 - val_fraction of its bytes (the split counts
/// tokens, so the border is not exactly the same); the control tokens of a chat template are in the
/// vocabulary. Of a folder of shards: theirs.
std::shared_ptr<const text::Tokenizer> make_tokenizer(const DataOptions& options,
                                                      const ProgressCallback& progress = {});

/// The word tokenizer `old` and what the text of `options` has more: its new words and characters
/// get ids after the old ones (text::WordCounter::extend()). Where there are none, an equal one.
std::shared_ptr<const text::Tokenizer> extend_tokenizer(const text::WordTokenizer& old,
                                                        const DataOptions& options,
                                                        const ProgressCallback& progress = {});

/// What the user should know of a tokenizer made or given for these options, or empty: fewer tokens
/// than asked for, or without the control tokens of `chat` (may be null).
std::string tokenizer_note(const DataOptions& options, const text::ChatTemplate* chat,
                           const text::Tokenizer& tokenizer);

}  // namespace adder::data
