#include "adder/base/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "adder/base/error.h"
#include "adder/base/list_text.h"

namespace adder {
namespace {

[[noreturn]] void refuse(const std::string& key, std::string_view text, const std::string& expected,
                         const std::string& next = {}) {
  throw Error(ErrorKind::kConfig,
              {.what = key + ": expected " + expected + ", got \"" + std::string(text) + "\"",
               .where = key,
               .next = next});
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "1000" as it is; "1e9" too, when it is a whole number that a double holds exactly.
std::optional<int64_t> parse_integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code == std::errc() && end == text.data() + text.size()) return value;
  const auto number = parse_number(text);
  if (!number || std::trunc(*number) != *number || std::abs(*number) > 0x1p53) return std::nullopt;
  return static_cast<int64_t>(*number);
}

std::string number_text(double value) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return {buffer, result.ptr};
}

std::string words(const std::vector<std::string>& choices) {
  std::string out;
  for (const auto& choice : choices) out += (out.empty() ? "" : " | ") + choice;
  return out;
}

struct Setter {
  const OptionEntry& entry;
  std::string_view text;

  void operator()(bool* value) const {
    if (text != "true" && text != "false") refuse(entry.key, text, "true or false");
    *value = text == "true";
  }
  void operator()(int64_t* value) const {
    const auto parsed = parse_integer(text);
    if (!parsed) refuse(entry.key, text, "an integer");
    *value = *parsed;
  }
  void operator()(double* value) const {
    const auto parsed = parse_number(text);
    if (!parsed) refuse(entry.key, text, "a number");
    *value = *parsed;
  }
  void operator()(std::string* value) const {
    check_choice(std::string(text));
    *value = text;
  }
  void operator()(std::vector<std::string>* value) const {
    auto elements = split_list(text);
    for (const auto& element : elements) check_choice(element);
    *value = std::move(elements);
  }
  void operator()(std::vector<double>* value) const {
    std::vector<double> numbers;
    for (const auto& element : split_list(text)) {
      const auto parsed = parse_number(element);
      if (!parsed) refuse(entry.key, text, "numbers with commas between");
      numbers.push_back(*parsed);
    }
    *value = std::move(numbers);
  }

 private:
  void check_choice(const std::string& word) const {
    if (entry.choices.empty() || std::ranges::find(entry.choices, word) != entry.choices.end())
      return;
    const auto near = nearest(word, entry.choices);
    refuse(entry.key, word, "one of " + words(entry.choices),
           near.empty() ? "" : "did you mean \"" + near + "\"?");
  }
};

// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`: optimal string
// alignment.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

}  // namespace

void set_from_text(const OptionEntry& entry, std::string_view text) {
  std::visit(Setter{entry, text}, entry.value);
}

std::string to_text(const OptionRef& value) {
  struct Printer {
    std::string operator()(const bool* v) const { return *v ? "true" : "false"; }
    std::string operator()(const int64_t* v) const { return std::to_string(*v); }
    std::string operator()(const double* v) const { return number_text(*v); }
    std::string operator()(const std::string* v) const { return *v; }
    std::string operator()(const std::vector<std::string>* v) const { return join_list(*v); }
    std::string operator()(const std::vector<double>* v) const {
      std::vector<std::string> texts;
      for (const double number : *v) texts.push_back(number_text(number));
      return join_list(texts);
    }
  };
  return std::visit(Printer{}, value);
}

const OptionEntry& find_option(const std::vector<OptionEntry>& entries, std::string_view key) {
  const auto found = std::ranges::find(entries, key, &OptionEntry::key);
  if (found != entries.end()) return *found;
  std::vector<std::string> keys;
  for (const auto& entry : entries) keys.push_back(entry.key);
  const auto near = nearest(key, keys);
  throw Error(ErrorKind::kConfig, {.what = "unknown option \"" + std::string(key) + "\"",
                                   .next = near.empty() ? "" : "did you mean \"" + near + "\"?"});
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongest = 200;  // a longer word is no misspelling, and the work is bounded
  if (word.size() > kLongest) return {};
  std::size_t best = std::max<std::size_t>(1, word.size() / 3) + 1;
  std::string result;
  const auto offer = [&](std::string_view form, const std::string& candidate) {
    if (form.size() > kLongest) return;
    const auto distance = edit_distance(word, form);
    if (distance >= best) return;
    best = distance;
    result = candidate;
  };
  for (const auto& candidate : candidates) offer(candidate, candidate);
  if (word.find('.') != std::string_view::npos) return result;
  for (const auto& candidate : candidates) {  // "lr" for "train.lr"
    const auto dot = candidate.rfind('.');
    if (dot != std::string::npos) offer(std::string_view(candidate).substr(dot + 1), candidate);
  }
  return result;
}

void OptionCollector::enter(std::string_view group) {
  prefix_ += group;
  prefix_ += '.';
}

void OptionCollector::leave() {
  prefix_.pop_back();
  const auto dot = prefix_.rfind('.');
  prefix_.resize(dot == std::string::npos ? 0 : dot + 1);
}

void OptionCollector::visit(std::string_view name, OptionRef value, std::string_view help,
                            const std::vector<std::string>& choices) {
  entries.push_back({prefix_ + std::string(name), value, std::string(help), choices});
}

}  // namespace adder
