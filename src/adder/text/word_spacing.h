// The spaces between tokens of the word tokenizer. What two neighbours are says whether a space
// usually stands between them; the text itself, or a marker in the ids, says where it is not so.
#pragma once

#include "adder/text/word_characters.h"

namespace adder::text {

/// What stands before the place that a text has come to.
class SpacingState {
 public:
  /// `left`: as if a token of this kind stood there.
  explicit SpacingState(Spacing left = Spacing::kBlank) : left_(left) {}

  /// Whether one space usually stands before a token of this kind; otherwise none does.
  bool usual(Spacing next) const {
    if (left_ == Spacing::kBlank || left_ == Spacing::kOpening || left_ == Spacing::kTight) {
      return false;
    }
    switch (next) {
      case Spacing::kBlank:
      case Spacing::kClosing:
      case Spacing::kTight:
        return false;
      case Spacing::kQuote:  // ‘said "’ opens, ‘,"’ closes
        return left_ != Spacing::kClosing;
      case Spacing::kSpelled:
        return left_ != Spacing::kSpelled;
      default:
        return true;
    }
  }

  bool after(Spacing spacing) const { return left_ == spacing; }

  /// The token stands there now, after a space or not.
  void put(Spacing next, bool spaced) {
    if (next == Spacing::kQuote) {
      const bool opens = spaced || !(left_ == Spacing::kWord || left_ == Spacing::kSpelled ||
                                     left_ == Spacing::kClosing);
      next = opens ? Spacing::kOpening : Spacing::kClosing;
    }
    left_ = next;
  }

 private:
  Spacing left_;
};

}  // namespace adder::text
