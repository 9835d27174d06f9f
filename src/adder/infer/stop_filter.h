// Finds stop strings in a stream of text, across the borders of its pieces, without ever letting a
// part of one out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace adder::infer {

class StopFilter {
 public:
  /// Empty strings are left out.
  explicit StopFilter(std::vector<std::string> stops);

  /// Takes the next piece and gives the text that is certain not to belong to a stop string. When
  /// one is found, gives what stands before it; later pieces give nothing.
  std::string feed(std::string_view piece);
  /// The end of the stream: what was held back.
  std::string flush();

  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace adder::infer
