// A conversation with a model: its state is carried from turn to turn, a turn can be taken back,
// and the whole can be saved to a file and taken up again by the same model. Of the text only the
// state is kept (and a TokenHistory), so memory is that of the state, however long the text.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "adder/infer/generate.h"
#include "adder/infer/state_file.h"

namespace adder::infer {

class Session {
 public:
  /// Both must outlive this. `eos`: see Generator.
  Session(Model& model, const text::Tokenizer& tokenizer, std::vector<int32_t> eos = {});

  /// Reads `text` (after the tokenizer's bos at the very beginning) and answers. Throws kUsage when
  /// there is nothing to read.
  Generation turn(std::string_view text, const GenerateOptions& options,
                  const OnToken& on_token = {});

  /// The same with the tokens of the text.
  Generation turn(std::span<const int32_t> added, const GenerateOptions& options,
                  const OnToken& on_token = {});

  /// The same with a text of any length, keeping nothing of it nor of the answer. When something
  /// throws (a source, too), this session is as it was. With no new tokens to draw it only reads,
  /// and a turn that adds nothing can still go on from there.
  GenerationStats stream(const TokenSource& added, const GenerateOptions& options,
                         const OnToken& on_token);

  /// Takes the last turn back, in a time that does not depend on the length of the text; false when
  /// there is none. The last kUndoDepth turns are kept: each costs a copy of the arrays that do not
  /// grow with the text, of a window's, and of the TokenHistory.
  bool undo();
  /// Begins anew; nothing can be taken back then.
  void reset();

  static constexpr std::size_t kUndoDepth = 8;

  /// How many tokens were read or drawn so far.
  int64_t tokens() const { return now_.state.tokens + static_cast<int64_t>(now_.unread.size()); }
  /// The last of them, TokenHistory::kLast or more; all of a shorter text.
  std::vector<int32_t> last_tokens() const;
  /// Bytes of the state, and of what undo() needs.
  std::size_t state_bytes() const { return now_.state.bytes(); }
  std::size_t undo_bytes() const;

  /// One safetensors file: state arrays, and what the model was. Atomic. Throws kUsage where there
  /// is a file that is no saved session: it is not written over.
  void save(const std::filesystem::path& file) const;
  /// Takes up a saved session; turns before it cannot be taken back. Throws kFormat for a file that
  /// is no session, kShape for one of another model or tokenizer. On an error this session is as it
  /// was.
  void load(const std::filesystem::path& file);

 private:
  struct Snapshot {
    State::Mark state;
    TokenHistory history;
    std::vector<int32_t> unread;
  };
  Snapshot snapshot() const { return {now_.state.mark(), now_.history, now_.unread}; }
  void restore(Snapshot snapshot);

  Model& model_;
  const text::Tokenizer& tokenizer_;
  std::vector<int32_t> eos_;
  SavedState now_;  // unread: the last token drawn, or read where none was drawn
  std::vector<Snapshot> past_;
};

}  // namespace adder::infer
