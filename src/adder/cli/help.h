// Help as text: headings and rows of two columns, wrapped at 100.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "adder/base/options.h"

namespace adder::cli {

class HelpText {
 public:
  HelpText(std::string_view usage, std::string_view summary);
  void heading(std::string_view title);
  void row(std::string_view name, std::string_view text);
  void line(std::string_view text);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// "NUMBER", "TEXT,...": what stands for the value of an option.
std::string value_word(const OptionEntry& entry);

std::string join(const std::vector<std::string>& words, std::string_view between);

}  // namespace adder::cli
