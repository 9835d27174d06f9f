// The tokenizer of a recipe.
#pragma once

#include <memory>
#include <string>

#include "adder/data/corpus_reader.h"
#include "adder/text/tokenizer.h"

namespace adder::data {

/// Whether data.tokenizer names one that is made from the text: "char" or "bpe".
bool learnt_from_text(const std::string& tokenizer);

/// The tokenizer that options.tokenizer names. "char" (with eos when there are several documents)
/// and "bpe" are made from options.text; characters also from what is held out, else that could not
/// be encoded; bpe sees no document that val_text or val_documents holds out.
std::shared_ptr<const text::Tokenizer> make_tokenizer(const DataOptions& options,
                                                      const ProgressCallback& progress = {});

}  // namespace adder::data
