#include "adder/cli/line_input.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string_view>

namespace adder::cli {
namespace {

MakeLineEditor line_editor = nullptr;

class PlainLines final : public LineInput {
 public:
  explicit PlainLines(std::string prompt) : prompt_(std::move(prompt)) {}

  Read read(std::string& line) override {
    if (isatty(0) == 1) {
      std::fputs(prompt_.c_str(), stderr);
      std::fflush(stderr);
    }
    if (!std::getline(std::cin, line)) return Read::kEnd;
    if (line.ends_with('\r')) line.pop_back();  // a file with Windows line ends
    return Read::kLine;
  }

 private:
  std::string prompt_;
};

bool can_edit() {
  const char* term = std::getenv("TERM");
  const bool drawable = term != nullptr && *term != 0 && std::string_view(term) != "dumb";
  return isatty(0) == 1 && isatty(2) == 1 && drawable;
}

}  // namespace

void set_line_editor(MakeLineEditor make) {
  line_editor = make;
}

std::unique_ptr<LineInput> open_lines(LineOptions options) {
  if (line_editor != nullptr && can_edit()) return line_editor(std::move(options));
  return std::make_unique<PlainLines>(std::move(options.prompt));
}

}  // namespace adder::cli
