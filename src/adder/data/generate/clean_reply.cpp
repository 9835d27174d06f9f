// clean_reply() of text_filters.h.
#include <algorithm>
#include <array>

#include "adder/data/generate/text_filters.h"

namespace adder::data {
namespace {

using Text = std::string_view;

std::string lowered(Text text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

Text trimmed(Text text) {
  const size_t begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  const size_t end = text.find_last_not_of(" \t\r\n");
  return text.substr(begin, end == Text::npos ? 0 : end + 1 - begin);
}

bool starts_with_any(Text text, std::initializer_list<Text> starts) {
  return std::ranges::any_of(starts, [&](Text start) { return text.starts_with(start); });
}

void replace_all(std::string& text, Text from, Text to) {
  std::string out;
  size_t begin = 0;
  for (size_t at; (at = text.find(from, begin)) != std::string::npos; begin = at + from.size()) {
    out.append(text, begin, at - begin).append(to);
  }
  text = out.append(text, begin);
}

/// Typographic marks as the plain ones: a small vocabulary is easier to learn.
void make_plain(std::string& text) {
  constexpr std::array<std::array<Text, 2>, 11> kMarks = {{{"\u201C", "\""},
                                                           {"\u201D", "\""},
                                                           {"\u2018", "'"},
                                                           {"\u2019", "'"},
                                                           {"\u2026", "..."},
                                                           {"\u2013", "-"},
                                                           {"\u2014", " - "},
                                                           {"\u00A0", " "},
                                                           {"\u200B", ""},
                                                           {"\r\n", "\n"},
                                                           {"\t", " "}}};
  for (const auto& [from, to] : kMarks) replace_all(text, from, to);
}

/// "[shown](address)" -> "shown".
void drop_links(std::string& text) {
  for (size_t middle = 0; (middle = text.find("](", middle)) != std::string::npos; ++middle) {
    const size_t open = text.rfind('[', middle);
    const size_t close = text.find(')', middle);
    if (open == std::string::npos || close == std::string::npos) continue;
    if (Text(text).substr(open, close - open).find('\n') != Text::npos) continue;
    text.replace(middle, close + 1 - middle, "");
    text.erase(open, 1);
    middle = open;
  }
}

/// "**so**", "*so*", "__so__" and "`so`" -> "so"; a lone star, as in "2 * 3", stays.
void drop_emphasis(std::string& line) {
  for (const Text mark : {Text("**"), Text("__"), Text("`"), Text("*")}) {
    for (size_t open = 0; (open = line.find(mark, open)) != std::string::npos;) {
      const size_t inside = open + mark.size();
      const size_t close = line.find(mark, inside + 1);
      if (close == std::string::npos) break;
      if (line[inside] == ' ' || line[close - 1] == ' ') {
        open = inside;
        continue;
      }
      line.erase(close, mark.size());
      line.erase(open, mark.size());
    }
  }
}

/// Where the text of a list's item begins: behind "- ", "* ", "+ " or "12. "; 0 for other lines.
size_t bullet_size(Text line) {
  if (starts_with_any(line, {"- ", "* ", "+ ", "\u2022 "})) return line.find(' ') + 1;
  const size_t digits = std::min(line.find_first_not_of("0123456789"), line.size());
  const bool number = digits > 0 && digits <= 3 && digits + 1 < line.size() &&
                      (line[digits] == '.' || line[digits] == ')') && line[digits + 1] == ' ';
  return number ? digits + 2 : 0;
}

bool is_rule(Text line) {
  return line.size() >= 3 && line.find_first_not_of("-*_= ") == Text::npos;
}

std::string without_markdown(Text text) {
  std::string out;
  bool gap = false;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line(trimmed(text.substr(begin, end - begin)));
    begin = end + 1;
    if (is_rule(line) || line.starts_with("```")) line.clear();
    while (line.starts_with("> ")) line.erase(0, 2);
    const size_t hashes = std::min(line.find_first_not_of('#'), line.size());
    if (hashes > 0 && hashes < line.size() && line[hashes] == ' ') line.erase(0, hashes + 1);
    line.erase(0, bullet_size(line));
    drop_emphasis(line);
    if (line.empty()) {
      gap = !out.empty();
      continue;
    }
    if (!out.empty()) out += gap ? "\n\n" : "\n";
    gap = false;
    out += line;
  }
  return out;
}

/// Whether a line is said to the user before the text: "Sure! Here is a short story about apples:".
bool is_preamble(Text line) {
  const std::string said = lowered(line);
  const bool opener =
      starts_with_any(said, {"sure", "certainly", "of course", "absolutely", "okay", "ok,", "ok!",
                             "great", "here is ", "here's ", "here are ", "below is ",
                             "i'd be happy", "i would be happy", "i'll ", "let me ", "happy to"});
  constexpr size_t kLongest = 200;
  if (!opener || line.size() > kLongest) return false;
  return line.ends_with(':') ||
         starts_with_any(said, {"sure!", "sure,", "sure.", "certainly!", "certainly,", "of course!",
                                "absolutely!", "i'd be happy", "i would be happy"});
}

bool is_farewell(Text line) {
  const std::string said = lowered(line);
  return starts_with_any(
      said, {"let me know if", "i hope this", "i hope that helps", "feel free to",
             "would you like me", "do you want me", "is there anything else", "please let me know",
             "if you'd like", "if you would like", "note: ", "(note: "});
}

/// The lines of a text, taken from both ends while they are said to the user.
Text without_talk(Text text) {
  while (true) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (end == text.size() || !is_preamble(text.substr(0, end))) break;
    text = trimmed(text.substr(end));
  }
  while (true) {
    const size_t begin = text.rfind('\n');
    if (begin == Text::npos || !is_farewell(text.substr(begin + 1))) break;
    text = trimmed(text.substr(0, begin));
  }
  return text;
}

/// "Sure! Once upon a time" on one line: the first word goes.
Text without_first_word(Text text) {
  for (const Text word : {Text("Sure! "), Text("Certainly! "), Text("Of course! "),
                          Text("Absolutely! "), Text("Sure thing! ")}) {
    if (text.starts_with(word)) return trimmed(text.substr(word.size()));
  }
  return text;
}

Text without_thoughts(Text text) {
  constexpr Text kOpen = "<think>", kClose = "</think>";
  text = trimmed(text);
  if (!text.starts_with(kOpen)) return text;
  const size_t close = text.find(kClose);
  return close == Text::npos ? Text() : trimmed(text.substr(close + kClose.size()));
}

}  // namespace

std::string clean_reply(Text text) {
  std::string plain(without_thoughts(text));
  make_plain(plain);
  drop_links(plain);
  plain = without_markdown(plain);
  return std::string(without_first_word(without_talk(plain)));
}

}  // namespace adder::data
