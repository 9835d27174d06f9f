// The lines that a person typed, kept from one conversation to the next in a file of theirs alone:
// one line each, "\n" and "\\" for what would not fit into one.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace adder::cli {

class LineHistory {
 public:
  static constexpr std::size_t kMostLines = 1000;     // kept in a file; it may hold twice as many
  static constexpr std::size_t kMostBytes = 1 << 12;  // of a line; longer ones are not kept

  /// $XDG_STATE_HOME/adder/chat_history, else under ~/.local/state; empty where there is no home
  /// (XDG Base Directory Specification 0.8).
  static std::filesystem::path default_file();

  /// Empty: nothing outlives this. What cannot be read or written is said once as a warning and
  /// does no harm.
  explicit LineHistory(std::filesystem::path file);

  /// The oldest first.
  const std::vector<std::string>& lines() const { return lines_; }
  /// Keeps a line, unless it is blank or the same as the one before.
  void add(std::string_view line);

 private:
  void load();
  void append(std::string_view line);

  std::filesystem::path file_;
  std::vector<std::string> lines_;
};

}  // namespace adder::cli
