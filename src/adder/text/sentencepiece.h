// SentencePiece models (`tokenizer.model`, protocol buffers) of the Llama 2 kind: byte-pair
// encoding by score. They are turned into the tokenizer.json that gives the same ids.
#pragma once

#include <string>
#include <string_view>

namespace adder::text {

/// The file begins as a SentencePiece model does, and not as JSON.
bool is_sentencepiece(std::string_view content);

/// The equivalent tokenizer.json. Throws kFormat for a malformed file, kUnsupported for unigram,
/// word and character models and for normalisation rules; `name` is what errors call it.
std::string sentencepiece_to_json(std::string_view content, const std::string& name);

}  // namespace adder::text
