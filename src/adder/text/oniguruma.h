// Oniguruma's regular expressions, as the reference tokenizer library reads them, in PCRE2's
// syntax.
#pragma once

#include <string>
#include <string_view>

namespace adder::text {

/// The same pattern for PCRE2 (UTF, UCP, MULTILINE). Throws kUnsupported, with `where` (the field
/// of the file) and the construct, for what PCRE2 cannot say the same way, and for patterns above
/// 64 KiB.
std::string from_oniguruma(std::string_view pattern, const std::string& where);

}  // namespace adder::text
