// Conversations out of jsonl files, for instruction tuning. One a line, in one of these forms:
//
//   {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
//   {"prompt": "...", "completion": "..."}
//   {"instruction": "...", "input": "...", "output": "..."}      "input" may be missing or empty
//
// Roles are system, user and assistant. What the assistant says are the answers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "adder/data/file_walk.h"
#include "adder/data/line_reader.h"
#include "adder/text/chat_template.h"

namespace adder::data {

using Conversation = std::vector<text::ChatMessage>;

/// Pull stream over the lines of files one after another.
class ConversationStream {
 public:
  /// Throws kFormat for a file that is not jsonl by its name, and kNotFound or kIo.
  explicit ConversationStream(std::vector<std::filesystem::path> files);

  /// Throws kFormat with FILE:LINE for a line of another form, a role, a text with NUL, or a
  /// conversation without an answer; and where the files held no conversation at all.
  bool next(Conversation& conversation);

  /// "FILE:LINE" of the conversation that next() gave last.
  std::string place() const { return walk_.place(); }
  int64_t bytes_read() const { return walk_.bytes_read(); }
  int64_t bytes_total() const { return walk_.bytes_total(); }

 private:
  FileWalk<LineReader> walk_;
};

/// One line; `place` begins its errors.
Conversation parse_conversation(const io::Json& line, const std::string& place);

}  // namespace adder::data
