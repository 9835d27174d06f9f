// Text to learn from, written by a grammar: no network, no model, and the same bytes on every
// machine. Documents of five kinds, each of them a block of lines without a blank line between:
//
//   stories   a title and a small story, or the lines of a talk between two animals or children
//   words     a word with its meaning and examples, or questions about it with their answers
//   topics    a title and a paragraph as in an encyclopedia, or questions and answers
//   dates     what happened on a day, and what day it is, or questions and answers
//   chats     a conversation: a line that is said and a line that answers it, in turn
//
// Questions and answers stand on lines in turn, without names before them, so that whoever types a
// question and a newline is answered with a line.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace adder::data {

/// What follows each document: pass it as the corpus separator.
inline constexpr std::string_view kStorySeparator = "\n\n";

const std::vector<std::string>& offline_kinds();

/// Passes documents to `write`, piece by piece, until at least `target_bytes` are written; returns
/// their number. The bytes are a function of the arguments alone, and a longer text begins with
/// the shorter one. No document comes twice (titles aside), and no line of 120 bytes or
/// more. Throws kUsage for a kind that is none, for no kind, and where the kinds are at their end
/// (beyond 2 MB for each).
int64_t generate_offline(const std::vector<std::string>& kinds, uint64_t seed, int64_t target_bytes,
                         const std::function<void(std::string_view)>& write);

/// Stories alone.
int64_t generate_stories(uint64_t seed, int64_t target_bytes,
                         const std::function<void(std::string_view)>& write);

}  // namespace adder::data
