#include "adder/data/left_out.h"

#include <fmt/format.h>

#include <algorithm>

#include "adder/text/utf8.h"

namespace adder::data {

void LeftOut::add(const std::vector<text::Dropped>& dropped) {
  for (const auto& [character, count] : dropped) counts_[character] += count;
}

std::vector<text::Dropped> LeftOut::list() const {
  std::vector<text::Dropped> list;
  for (const auto& [character, count] : counts_) list.push_back({character, count});
  return list;
}

int64_t LeftOut::bytes() const {
  int64_t bytes = 0;
  for (const auto& [character, count] : counts_) {
    bytes += static_cast<int64_t>(character.size()) * count;
  }
  return bytes;
}

std::string LeftOut::note() const {
  if (counts_.empty()) return {};
  constexpr size_t kNamed = 5;
  std::vector<std::pair<std::string, int64_t>> most(counts_.begin(), counts_.end());
  std::ranges::stable_sort(most, std::greater(), &std::pair<std::string, int64_t>::second);
  int64_t total = 0;
  std::string names;
  for (size_t i = 0; i < most.size(); ++i) {
    const auto& [character, count] = most[i];
    total += count;
    if (i == kNamed) names += ", ...";
    if (i >= kNamed) continue;
    const std::string name = text::name_of(text::read_utf8(character, 0).value);
    names += fmt::format("{}{} ({})", i == 0 ? "" : ", ", name, count);
  }
  return fmt::format("the tokenizer does not have {}, left out {}: {}",
                     most.size() == 1 ? "a character of the text"
                                      : fmt::format("{} characters of the text", most.size()),
                     total == 1 ? "once" : fmt::format("{} times", total), names);
}

}  // namespace adder::data
