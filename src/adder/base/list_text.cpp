#include "adder/base/list_text.h"

namespace adder {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t';
}

std::string escape(const std::string& element) {
  if (element.empty()) return "\\e";
  std::string out;
  for (std::size_t i = 0; i < element.size(); ++i) {
    const char c = element[i];
    const bool edge = i == 0 || i + 1 == element.size();
    if (c == ',' || c == '\\' || (edge && is_space(c))) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string join_list(std::span<const std::string> elements) {
  std::string out;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (i > 0) out += ',';
    out += escape(elements[i]);
  }
  return out;
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> elements;
  if (text.empty()) return elements;
  std::string element;
  std::size_t kept = 0;  // bytes of `element` that trailing spaces do not reach
  const auto close = [&] {
    element.resize(kept);
    elements.push_back(std::move(element));
    element.clear();
    kept = 0;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      if (text[++i] != 'e') element += text[i];
      kept = element.size();
    } else if (c == ',') {
      close();
    } else if (is_space(c)) {
      if (!element.empty()) element += c;
    } else {
      element += c;
      kept = element.size();
    }
  }
  close();
  return elements;
}

}  // namespace adder
