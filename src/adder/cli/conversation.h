// A conversation of a person with a model: what the lines and commands of `adder chat` do.
#pragma once

#include <string>
#include <vector>

#include "adder/cli/chat_format.h"
#include "adder/cli/loaded_model.h"
#include "adder/infer/session.h"

namespace adder::cli {

class Conversation {
 public:
  /// How answers are given: as they are, word by word on a terminal, or as lines of JSON.
  enum class Show { kPlain, kTerminal, kJson };

  /// `loaded` must outlive this.
  Conversation(LoadedModel& loaded, infer::GenerateOptions options, ChatFormat format, Show show);

  /// Answers a line on stdout. Ctrl-C ends the answer. A line that the tokenizer refuses throws and
  /// leaves the conversation as it was.
  void answer(const std::string& line);
  /// Goes on with the last answer.
  void more();
  /// Takes the last answer back and gives another one.
  void again();
  void undo();
  void reset();
  /// Reads a text file of any length, as if it had been said. Ctrl-C takes it back: false then.
  bool read_file(const std::string& file);

  void save(const std::string& file) const;
  void load(const std::string& file);
  /// Saves it to `file` when something changed since the last time, and says nothing.
  void keep(const std::string& file);

  /// How `text` is cut into tokens.
  void show_tokens(const std::string& text) const;
  void show_stats() const;

  /// What /NAME VALUE sets (GenerateOptions).
  infer::GenerateOptions& options() { return options_; }

 private:
  struct Turn {
    enum Kind { kLine, kMore, kFile } kind;
    std::string line;
  };
  class Voice;  // of an answer

  void speak(const infer::TokenSource& added, Turn turn);
  Ended ended() const;
  void print_answer(const infer::GenerationStats& stats, const Voice& voice, int64_t seed) const;

  LoadedModel& loaded_;
  const text::Tokenizer& tokenizer_;
  ChatFormat format_;
  AnswerEnds ends_;
  infer::Session session_;
  infer::GenerateOptions options_;
  Show show_;
  std::vector<Turn> turns_;             // those that can be taken back
  std::vector<text::Dropped> dropped_;  // of the line that is being answered
  infer::GenerationStats last_;
  int64_t answers_ = 0;
  bool told_of_more_ = false;
  bool changed_ = false;  // since keep()
};

}  // namespace adder::cli
