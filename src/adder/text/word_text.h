// Text as the word tokenizer reads it.
#pragma once

#include <string>
#include <string_view>

namespace adder::text {

/// `text` with U+FFFD for what is not UTF-8, line ends of one LF (without the CRs before it), and
/// in NFC: a view of `text` where nothing changes, else of `buffer`.
std::string_view word_text(std::string_view text, std::string& buffer);

}  // namespace adder::text
