#include "adder/cli/help.h"

#include <algorithm>

namespace adder::cli {
namespace {

constexpr std::size_t kNameColumn = 34;
constexpr std::size_t kWidth = 100;

}  // namespace

HelpText::HelpText(std::string_view usage, std::string_view summary) {
  text_.append("usage: ").append(usage).append("\n\n").append(summary).append("\n");
}

void HelpText::heading(std::string_view title) {
  text_.append("\n").append(title).append(":\n");
}

void HelpText::row(std::string_view name, std::string_view text) {
  std::string line = "  " + std::string(name);
  const auto indent = [&] { line.append(kNameColumn - std::min(kNameColumn, line.size()), ' '); };
  if (line.size() + 2 > kNameColumn) {
    text_ += line + "\n";
    line.clear();
  }
  indent();
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find(' ', begin), text.size());
    const auto word = text.substr(begin, end - begin);
    if (line.size() > kNameColumn && line.size() + 1 + word.size() > kWidth) {
      text_ += line + "\n";
      line.clear();
      indent();
    }
    if (line.size() > kNameColumn) line += ' ';
    line += word;
    begin = end + 1;
  }
  text_ += line + "\n";
}

void HelpText::line(std::string_view text) {
  text_.append("  ").append(text).append("\n");
}

std::string value_word(const OptionEntry& entry) {
  struct Word {
    std::string operator()(const bool*) const { return "true|false"; }
    std::string operator()(const int64_t*) const { return "N"; }
    std::string operator()(const double*) const { return "NUMBER"; }
    std::string operator()(const std::string*) const { return "TEXT"; }
    std::string operator()(const std::vector<std::string>*) const { return "TEXT,..."; }
    std::string operator()(const std::vector<double>*) const { return "NUMBER,..."; }
  };
  return std::visit(Word{}, entry.value);
}

std::string join(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const auto& word : words) text.append(text.empty() ? "" : between).append(word);
  return text;
}

}  // namespace adder::cli
