// Text out of a stream of token bytes: a token may end in the middle of a character, so its bytes
// are held back until the character is whole.
#pragma once

#include <string>
#include <string_view>

namespace adder::text {

class StreamDecoder {
 public:
  /// Takes the bytes of one or more tokens and gives the valid UTF-8 that is certain by now. An
  /// incomplete tail (at most 3 bytes) waits for the next call; bytes that can never be valid
  /// become U+FFFD, one for each maximal ill-formed part (Unicode 15, section 3.9).
  std::string feed(std::string_view bytes);

  /// The end of the stream: what still waits comes out as one U+FFFD. The decoder is then as new.
  std::string flush();

 private:
  std::string pending_;
};

}  // namespace adder::text
