#include "adder/text/oniguruma.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <vector>

#include "adder/base/error.h"

namespace adder::text {
namespace {

constexpr size_t kMaxPattern = size_t{1} << 16;  // bytes

// PCRE2 counts U+180E as space, and \w without marks; Oniguruma goes by Unicode. (Inside [^...]
// too, these lists stand where the escape stood.)
constexpr std::string_view kSpaces = "\\p{Z}\\x{9}-\\x{D}\\x{85}";
constexpr std::string_view kWords = "\\p{L}\\p{M}\\p{N}\\p{Pc}";

/// Letters that mean the same after a backslash in both.
constexpr std::string_view kSameEscapes = "dDnrtfeapPAzZ";

/// Categories and properties that both know by one name; other names of \p{} are scripts.
constexpr std::string_view kProperties[] = {
    "any", "c",  "cc",         "cf",        "cn",        "co",         "cs",   "l",  "ll",
    "lm",  "lo", "lt",         "lu",        "m",         "mc",         "me",   "mn", "n",
    "nd",  "nl", "no",         "p",         "pc",        "pd",         "pe",   "pf", "pi",
    "po",  "ps", "s",          "sc",        "sk",        "sm",         "so",   "z",  "zl",
    "zp",  "zs", "alphabetic", "uppercase", "lowercase", "whitespace", "emoji"};

/// Pairs of letters that a caseless search finds as one character too (U+FB01, U+00DF).
constexpr std::string_view kFoldedPairs[] = {"ss", "ff", "fi", "fl", "st"};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// {n}, {n,}, {n,m} or {,m}.
struct Interval {
  std::string low, high;
  bool comma = false;
  size_t size = 0;
};

std::optional<Interval> interval_at(std::string_view text) {
  Interval made;
  size_t at = 1;
  while (at < text.size() && is_digit(text[at])) made.low += text[at++];
  if (at < text.size() && text[at] == ',') {
    made.comma = true;
    ++at;
    while (at < text.size() && is_digit(text[at])) made.high += text[at++];
  }
  if (at >= text.size() || text[at] != '}' || (made.low.empty() && made.high.empty())) {
    return std::nullopt;
  }
  made.size = at + 1;
  return made;
}

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {}

  std::string run() {
    if (pattern_.size() > kMaxPattern) {
      refuse(fmt::format("it has {} bytes, the limit is {}", pattern_.size(), kMaxPattern));
    }
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape(false);
      } else if (c == '[') {
        set();
      } else if (c == '(') {
        open_group();
      } else if (c == ')') {
        if (groups_.empty()) refuse("a ) without its (");
        atom_ = groups_.back();
        groups_.pop_back();
        take(1);
      } else if (c == '{') {
        interval();
      } else {
        // A quantifier belongs to what it follows: together they are what the next one repeats.
        if (std::string_view("*+?").find(c) == std::string_view::npos) begin_atom();
        do take(1);
        while (at_ < pattern_.size() && (static_cast<unsigned char>(pattern_[at_]) & 0xC0) == 0x80);
      }
    }
    if (caseless_) check_caseless();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string why) const {
    throw Error(
        ErrorKind::kUnsupported,
        {.what = "the tokenizer's pattern cannot be used", .where = where_, .why = std::move(why)});
  }
  [[noreturn]] void differs(std::string_view construct) const {
    refuse(fmt::format("{} means another thing in each library", construct));
  }

  std::string_view rest() const { return pattern_.substr(at_); }
  void take(size_t count) {
    out_ += pattern_.substr(at_, count);
    at_ += count;
  }
  void begin_atom() { atom_ = out_.size(); }

  void escape(bool in_set) {
    if (!in_set) begin_atom();
    if (rest().size() < 2) refuse("it ends in a backslash");
    const char c = pattern_[at_ + 1];
    const auto shown = rest().substr(0, 2);
    if (c == 's' || c == 'w') {
      const std::string_view list = c == 's' ? kSpaces : kWords;
      out_ += in_set ? std::string(list) : fmt::format("[{}]", list);
    } else if ((c == 'S' || c == 'W') && !in_set) {
      out_ += fmt::format("[^{}]", c == 'S' ? kSpaces : kWords);
    } else if (c == 'p' || c == 'P') {
      return property();
    } else if (c == 'x' || c == '0') {
      return number();
    } else if (std::isalnum(static_cast<unsigned char>(c)) != 0 &&
               kSameEscapes.find(c) == std::string_view::npos && (!is_digit(c) || in_set)) {
      differs(shown);
    } else {
      return take(2);
    }
    at_ += 2;
  }

  /// \x41 and \x{41}; Oniguruma takes two digits from 80 on as a byte.
  void number() {
    const std::string_view text = rest();
    if (text.size() > 2 && text[1] == 'x' && text[2] == '{') {
      const size_t end = text.find('}');
      if (end == text.npos) refuse("a \\x{ without its }");
      foreign_ = foreign_ || end > 5 || (end == 5 && text[3] > '7');
      return take(end + 1);
    }
    const bool two = text.size() > 3 && text[1] == 'x' && text[2] >= '0' && text[2] <= '7' &&
                     std::isxdigit(static_cast<unsigned char>(text[3])) != 0;
    if (!two) differs(text.substr(0, 4));
    take(4);
  }

  /// \p{Lu}, \p{^Lu}, \P{Lu}, \p{Han}. PCRE2 takes a script's bare name for its extensions too.
  void property() {
    const std::string_view text = rest();
    const size_t end = text.find('}');
    if (text.size() < 3 || text[2] != '{' || end == text.npos) differs(text.substr(0, 3));
    const std::string_view shown = text.substr(0, end + 1);
    std::string_view name = text.substr(3, end - 3);
    const bool inverse = name.starts_with('^');
    if (inverse) name.remove_prefix(1);
    std::string plain;
    for (const char c : name) {
      if (c == '_' || c == '-' || c == ' ') continue;
      if (std::isalpha(static_cast<unsigned char>(c)) == 0) differs(shown);
      plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    const bool known = std::ranges::find(kProperties, plain) != std::end(kProperties);
    out_ += fmt::format("\\{}{{{}{}{}}}", text[1], inverse ? "^" : "", known ? "" : "sc:", name);
    at_ += shown.size();
  }

  void set() {
    begin_atom();
    take(1);
    if (rest().starts_with("^")) take(1);
    if (rest().starts_with("]")) {
      out_ += '\\';
      take(1);
    }
    while (!rest().starts_with("]")) {
      if (rest().empty()) refuse("a [ without its ]");
      if (rest().starts_with("[:")) differs("a class like [:alpha:]");
      if (rest().starts_with("&&") || rest().starts_with("[")) {
        refuse("sets inside sets are not known");
      }
      if (rest().starts_with("\\")) {
        escape(true);
      } else {
        take(1);
      }
    }
    take(1);
  }

  void open_group() {
    groups_.push_back(out_.size());
    if (rest().starts_with("(*")) refuse("it begins a group with (*");
    for (const char* same : {"(?:", "(?=", "(?!", "(?>", "(?<"}) {
      if (rest().starts_with(same)) return take(3);
    }
    if (!rest().starts_with("(?")) return take(1);
    for (const char* flags : {"(?i:", "(?i)", "(?-i:", "(?-i)"}) {
      const std::string_view text = flags;
      if (!rest().starts_with(text)) continue;
      caseless_ = true;
      // Alternatives behind (?i) belong to it in Oniguruma, not in PCRE2.
      if (text.ends_with(')')) {
        groups_.pop_back();
        if (at_ != 0) differs(text);
      }
      return take(text.size());
    }
    differs(rest().substr(0, 3));
  }

  /// {,n} is {0,n}; {n,m}+ repeats, {n}? may be missing; every other brace is a character.
  void interval() {
    const auto found = interval_at(rest());
    if (!found) {
      begin_atom();
      out_ += "\\{";
      ++at_;
      return;
    }
    at_ += found->size;
    const std::string bounds = fmt::format("{{{}{}{}}}", found->low.empty() ? "0" : found->low,
                                           found->comma ? "," : "", found->high);
    if (rest().starts_with("+") || (rest().starts_with("?") && !found->comma)) {
      out_.insert(atom_, "(?:");
      out_ += bounds + ")";
      take(1);
    } else {
      out_ += bounds;
    }
  }

  void check_caseless() const {
    std::string lower;
    bool plain = !foreign_;
    for (const char c : pattern_) {
      plain = plain && static_cast<unsigned char>(c) < 0x80;
      lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    if (!plain) differs("a character outside of ASCII in any case");
    for (const std::string_view pair : kFoldedPairs) {
      if (lower.find(pair) != lower.npos) differs(fmt::format("\"{}\" in any case", pair));
    }
  }

  std::string_view pattern_;
  const std::string& where_;
  size_t at_ = 0;
  std::string out_;
  size_t atom_ = 0;             // where in out_ that begins which a quantifier would repeat
  std::vector<size_t> groups_;  // where the open groups begin
  bool caseless_ = false, foreign_ = false;
};

}  // namespace

std::string from_oniguruma(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).run();
}

}  // namespace adder::text
