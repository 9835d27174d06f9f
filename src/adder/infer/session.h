// A conversation with a model: its state is carried from turn to turn, a turn can be taken back,
// and the whole can be saved to a file and taken up again by the same model.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "adder/infer/generate.h"

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

  /// Takes the last turn back; false when there is none. The last kUndoDepth turns are kept:
  /// each costs a copy of the arrays that do not grow with the text, and a window's.
  bool undo();
  /// Begins anew; nothing can be taken back then.
  void reset();

  /// Every token read or drawn so far.
  const std::vector<int32_t>& ids() const { return ids_; }

  static constexpr std::size_t kUndoDepth = 8;

  /// One safetensors file: state arrays, token ids, and what the model was. Atomic.
  void save(const std::filesystem::path& file) const;
  /// Takes up a saved session; turns before it cannot be taken back. Throws kFormat for a file that
  /// is no session, kShape for one of another model or tokenizer. On an error this session is as it
  /// was.
  void load(const std::filesystem::path& file);

 private:
  struct Snapshot {
    State::Mark state;
    std::size_t ids;
  };

  Model& model_;
  const text::Tokenizer& tokenizer_;
  std::vector<int32_t> eos_;
  State state_;  // has read ids_[0, state_.tokens)
  std::vector<int32_t> ids_;
  std::vector<Snapshot> past_;
};

}  // namespace adder::infer
