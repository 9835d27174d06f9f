// Properties of characters that tokenizers ask for, and the normal forms (Unicode UAX #15).
#pragma once

#include <string>
#include <string_view>

namespace adder::text {

enum class CharClass : unsigned char { kOther, kLetter, kNumber, kSpace };

/// kLetter: category L. kNumber: category N. kSpace: White_Space.
CharClass class_of(char32_t value);

/// A letter, mark, decimal digit or connector: what `\w` means in the patterns of tokenizers.
bool is_word_character(char32_t value);

enum class NormalForm { kC, kD, kKc, kKd };

/// `text` (valid UTF-8) in a normal form: a view of `text` where nothing changes, else of `buffer`.
/// O(n log n) for any text, however many combining marks follow each other.
std::string_view normal_form(std::string_view text, NormalForm form, std::string& buffer);

/// Nothing before `value` changes what NFC makes of it, and it never changes itself. True only for
/// common ranges; false says nothing.
bool is_inert_in_nfc(char32_t value);

}  // namespace adder::text
