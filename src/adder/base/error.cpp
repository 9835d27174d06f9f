#include "adder/base/error.h"

#include <utility>

namespace adder {

const char* to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return "usage";
    case ErrorKind::kConfig:
      return "config";
    case ErrorKind::kNotFound:
      return "not found";
    case ErrorKind::kIo:
      return "input/output";
    case ErrorKind::kFormat:
      return "bad file";
    case ErrorKind::kShape:
      return "shape";
    case ErrorKind::kNumeric:
      return "numeric";
    case ErrorKind::kUnsupported:
      return "unsupported";
    case ErrorKind::kInternal:
      return "internal";
  }
  return "unknown";
}

int exit_code(ErrorKind kind) {
  return kind == ErrorKind::kUsage || kind == ErrorKind::kConfig ? 2 : 1;
}

Error::Error(ErrorKind kind, ErrorText text) : kind_(kind), text_(std::move(text)) {
  message_ = std::string(to_string(kind_)) + ": " + text_.what;
  if (!text_.where.empty()) message_ += "\n  where: " + text_.where;
  if (!text_.why.empty()) message_ += "\n  why:   " + text_.why;
  if (!text_.next.empty()) message_ += "\n  next:  " + text_.next;
}

Error Error::within(const std::string& outer) const {
  ErrorText text = text_;
  text.where = text.where.empty() ? outer : outer + ", " + text.where;
  return Error(kind_, std::move(text));
}

}  // namespace adder
