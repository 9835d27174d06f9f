// Templates with slots, and the words that fill them (story_plots.h says which slots there are).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "adder/base/rng.h"

namespace adder::data {

/// What stands for each slot of one text.
using StoryWords = std::map<std::string, std::string, std::less<>>;

/// All words that one story uses: the same hero, thing and places from its title to its end.
StoryWords choose_words(Rng& rng);

/// `text` with its slots filled. Throws kInternal for a slot without a word.
std::string fill(std::string_view text, const StoryWords& words);

/// "The Lost kite" -> "The Lost Kite".
std::string as_title(std::string title);

template <typename T>
const T& pick(Rng& rng, std::span<const T> list) {
  return list[static_cast<size_t>(rng.below(static_cast<int64_t>(list.size())))];
}

/// An element of `list` other than `taken`.
template <typename T>
const T& pick_other(Rng& rng, std::span<const T> list, const T& taken) {
  const auto count = static_cast<int64_t>(list.size());
  const int64_t step = 1 + rng.below(count - 1);
  return list[static_cast<size_t>((&taken - list.data() + step) % count)];
}

inline bool chance(Rng& rng, int64_t percent) {
  return rng.below(100) < percent;
}

}  // namespace adder::data
