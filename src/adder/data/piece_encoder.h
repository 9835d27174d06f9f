// Token ids of a text that comes in pieces: what Tokenizer::encode() gives for the whole of it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adder/data/document_stream.h"
#include "adder/data/left_out.h"
#include "adder/text/tokenizer.h"

namespace adder::data {

/// Encodes in bounded memory where the tokenizer knows places to cut at (Tokenizer::cut_at).
class PieceEncoder {
 public:
  /// `tokenizer` must outlive the encoder. `piece_bytes`: how much is encoded at a time.
  explicit PieceEncoder(const text::Tokenizer& tokenizer, size_t piece_bytes = kPieceBytes);

  /// Takes the next part of a text and gives the ids that are certain by now; all that are left
  /// after the `last` part, when a new text begins. Throws what Tokenizer::encode() throws, and
  /// kUnsupported when a text has no place to cut at for kMaxLineBytes.
  std::vector<int32_t> feed(std::string_view text, bool last);

  /// The characters that the tokenizer left out of what was encoded since the last call.
  LeftOut take_left_out() { return std::exchange(left_out_, {}); }

 private:
  const text::Tokenizer& tokenizer_;
  size_t piece_bytes_;
  size_t wanted_;       // bytes to have before a place to cut at is looked for
  std::string rest_;    // of the text, not encoded yet
  bool begun_ = false;  // a part of the text is encoded
  LeftOut left_out_;
};

}  // namespace adder::data
