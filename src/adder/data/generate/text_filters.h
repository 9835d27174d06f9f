// What a language model wrote, made into plain text to learn from, and the reasons not to keep it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace adder::data {

/// The words of a text in small letters (ASCII), without punctuation: what texts are compared by.
std::vector<std::string> plain_words(std::string_view text);

/// Takes out what is talk and not text: a <think> part, "Sure! Here is a story:" before it, "Let me
/// know if ..." behind it; Markdown (headings, emphasis, lists, quotes, code, links, rules); and
/// makes quotation marks, dashes and dots the plain ones. Lines keep their ends; at most one empty
/// line stays between two.
std::string clean_reply(std::string_view text);

/// A text that stopped in the middle, up to the end of its last whole sentence; empty without one.
std::string up_to_last_sentence(std::string_view text);

struct TextFilters {
  int64_t min_chars = 40;
  int64_t max_chars = 8000;
  bool english = true;
  double max_repeated = 0.3;           // share of words in runs of five that came before; 1: any
  std::vector<std::string> blocklist;  // words or phrases, found whole and in any letter case

  /// Why not to keep a text that clean_reply() gave; nothing where all is well.
  std::optional<std::string> reason_against(std::string_view text) const;
  void check() const;  // throws kUsage
};

/// The words and phrases of a file, one a line. Throws kUsage for a line without a letter or digit,
/// which every text would hold.
std::vector<std::string> read_blocklist(const std::filesystem::path& file);

/// The share of words that stand in a run of five words which came before in the same text.
double repeated_share(const std::vector<std::string>& words);

/// Whether the words look like English prose: mostly ASCII letters, and common words among them.
bool looks_english(std::string_view text);

}  // namespace adder::data
