#include "adder/data/generate/text_filters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "adder/base/error.h"
#include "adder/base/printable.h"
#include "adder/data/generate/requests.h"
#include "adder/text/utf8.h"

namespace adder::data {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool is_letter(char c) {
  return (lower(c) >= 'a' && lower(c) <= 'z') || static_cast<unsigned char>(c) >= 0x80;
}

/// In small letters, with one space on either side of each word: for finding phrases.
std::string padded(const std::vector<std::string>& words) {
  std::string text = " ";
  for (const std::string& word : words) text += word + " ";
  return text;
}

// The commonest words of English that no other language writes often.
constexpr std::array<std::string_view, 44> kCommon = {
    "the",   "of",   "and",  "to",    "is",   "that", "it",   "was",  "for",   "with", "as",
    "his",   "her",  "they", "be",    "at",   "this", "have", "from", "or",    "had",  "by",
    "but",   "what", "were", "we",    "when", "your", "can",  "said", "there", "an",   "each",
    "which", "she",  "how",  "their", "will", "are",  "who",  "he",   "its",   "you",  "not"};

// How models begin to speak of themselves instead of writing.
constexpr std::array<std::string_view, 7> kRefusals = {
    " as an ai ",      " as a language model ", " i cannot ",     " i can't help ",
    " i'm sorry but ", " i am sorry but ",      " i'm unable to "};

}  // namespace

std::vector<std::string> plain_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ' ';
    const bool inside = c == '\'' && !word.empty() && i + 1 < text.size() && is_letter(text[i + 1]);
    if (is_letter(c) || (c >= '0' && c <= '9') || inside) {
      word += lower(c);
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  return words;
}

std::string up_to_last_sentence(std::string_view text) {
  for (size_t i = text.size(); i-- > 0;) {
    if (text[i] != '.' && text[i] != '!' && text[i] != '?') continue;
    size_t end = i + 1;
    if (end < text.size() && (text[end] == '"' || text[end] == ')')) ++end;
    if (end == text.size() || text[end] == ' ' || text[end] == '\n') {
      return std::string(text.substr(0, end));
    }
  }
  return "";
}

double repeated_share(const std::vector<std::string>& words) {
  constexpr size_t kRun = 5;
  if (words.size() < kRun) return 0;
  std::unordered_set<std::string> seen;
  std::vector<bool> repeated(words.size(), false);
  for (size_t i = 0; i + kRun <= words.size(); ++i) {
    std::string run;
    for (size_t j = 0; j < kRun; ++j) run += words[i + j] + ' ';
    if (!seen.insert(std::move(run)).second) {
      std::fill_n(repeated.begin() + static_cast<std::ptrdiff_t>(i), kRun, true);
    }
  }
  return static_cast<double>(std::ranges::count(repeated, true)) /
         static_cast<double>(words.size());
}

bool looks_english(std::string_view text) {
  int64_t ascii = 0, other = 0;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0xC0) ++other;  // the first byte of a character
    if (lower(c) >= 'a' && lower(c) <= 'z') ++ascii;
  }
  if (ascii == 0 || ascii < 20 * other) return false;
  const auto words = plain_words(text);
  constexpr size_t kFew = 20;  // too few to count common ones among them
  if (words.size() < kFew) return true;
  const auto common = std::ranges::count_if(words, [](const std::string& word) {
    return std::ranges::find(kCommon, word) != kCommon.end();
  });
  return 8 * static_cast<size_t>(common) >= words.size();
}

std::optional<std::string> TextFilters::reason_against(std::string_view text) const {
  if (text.empty()) return "nothing is left of it";
  if (!text::is_valid_utf8(text)) return "it is not UTF-8";
  const auto chars = std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  if (chars < min_chars) return fmt::format("too short: {} characters", chars);
  if (chars > max_chars) return fmt::format("too long: {} characters", chars);
  const auto words = plain_words(text);
  const std::string line = padded(words);
  constexpr size_t kFirst = 8;  // further on, somebody in the text may say it
  const std::string beginning = padded(
      {words.begin(), words.begin() + static_cast<std::ptrdiff_t>(std::min(kFirst, words.size()))});
  for (const auto phrase : kRefusals) {
    if (beginning.find(phrase) != std::string::npos)
      return "the model speaks of itself:" + std::string(phrase);
  }
  for (const std::string& entry : blocklist) {
    if (line.find(padded(plain_words(entry))) != std::string::npos) return "blocked: " + entry;
  }
  if (english && !looks_english(text)) return "it does not look like English";
  const double repeated = repeated_share(words);
  if (repeated > max_repeated) {
    return fmt::format("it repeats itself: {:.0f} % of its words", 100 * repeated);
  }
  return std::nullopt;
}

void TextFilters::check() const {
  constexpr int64_t kMaxChars = 1 << 24;
  if (min_chars < 0 || max_chars > kMaxChars || min_chars > max_chars) {
    throw Error(ErrorKind::kUsage,
                {.what = "--min-length is at least 0, and --max-length from there to 16777216",
                 .why = fmt::format("they are {} and {}", min_chars, max_chars)});
  }
  if (!(max_repeated >= 0 && max_repeated <= 1)) {
    throw Error(ErrorKind::kUsage, {.what = "--max-repeated is a share, 0 to 1"});
  }
}

std::vector<std::string> read_blocklist(const std::filesystem::path& file) {
  auto entries = read_items(file);
  for (const std::string& entry : entries) {
    if (plain_words(entry).empty()) {
      throw Error(ErrorKind::kUsage, {.what = "a line of the blocklist has no letter and no digit",
                                      .where = file.string() + ": " + printable(entry, 200),
                                      .next = "comments begin with \"#\""});
    }
  }
  return entries;
}

}  // namespace adder::data
