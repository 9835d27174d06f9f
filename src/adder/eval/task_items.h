// Tasks out of a local file, one JSON object a line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "adder/io/file.h"

namespace adder::eval {

/// {"context" (or "query"): text, "choices": [text, ...], "gold": index, "delimiter": text (" ")}
struct ChoiceItem {
  std::string context;
  std::vector<std::string> choices;  // at least two
  int64_t gold = 0;
  std::string delimiter;  // between the context and a choice
};

/// {"context" (or "query"): text, "target": text, "delimiter": text (" ")}
struct ClozeItem {
  std::string context, target;
  std::string delimiter;
};

using TaskItem = std::variant<ChoiceItem, ClozeItem>;

/// One line. Keys that it does not know are left alone. Throws kFormat; `where` ("tasks.jsonl:3")
/// begins the error.
TaskItem parse_item(std::string_view line, const std::string& where);

/// The items of a file, read one after another; empty lines are skipped.
class TaskFile {
 public:
  explicit TaskFile(const std::filesystem::path& path);

  /// False at the end.
  bool next(TaskItem& item);
  int64_t bytes_read() const { return static_cast<int64_t>(offset_); }
  int64_t bytes() const { return file_.size(); }
  /// The place of the last item: "tasks.jsonl:3".
  std::string where() const;

 private:
  io::MappedFile file_;
  size_t offset_ = 0;
  int64_t line_ = 0;
};

}  // namespace adder::eval
