// The one exception type of the house. The library never exits and never prints: it throws an Error
// that says what went wrong, where, why, and what to do next; the command line maps its kind to an
// exit code.
#pragma once

#include <exception>
#include <string>

namespace adder {

enum class ErrorKind {
  kUsage,        // a flag, a verb or an argument that does not exist or does not fit
  kConfig,       // a recipe or model configuration that is wrong
  kNotFound,     // a file, folder or name that is not there
  kIo,           // the operating system refused to read or write
  kFormat,       // a file whose content is malformed
  kShape,        // tensors whose shapes or types do not fit each other
  kNumeric,      // a value that is not finite where it must be
  kUnsupported,  // asked for something Adder does not do
  kInternal,     // a broken promise of Adder's own: a bug
};

/// "config", "not found", ... : the word that begins a printed error.
const char* to_string(ErrorKind kind);

/// The four parts of a useful error. `why` and `next` may be empty.
struct ErrorText {
  std::string what;   // what went wrong: "cannot read the model's weights"
  std::string where;  // file, key or argument: "model.safetensors, tensor 'backbone.norm_f.weight'"
  std::string why;    // the reason: "its shape is [65, 64], config.json asks for [64, 64]"
  std::string next;   // what to do: "run `adder convert` on the original directory again"
};

class Error : public std::exception {
 public:
  Error(ErrorKind kind, ErrorText text);

  const char* what() const noexcept override { return message_.c_str(); }
  ErrorKind kind() const { return kind_; }
  const ErrorText& text() const { return text_; }

  /// The same error seen from further out: `outer` is put before `where`.
  Error within(const std::string& outer) const;

 private:
  ErrorKind kind_;
  ErrorText text_;
  std::string message_;  // all parts joined, several lines
};

/// 2 for kUsage and kConfig (the user's input), 1 for everything else.
int exit_code(ErrorKind kind);

}  // namespace adder
