// An offline source of text to learn from: short stories and small dialogues out of a grammar over
// curated word lists. Each has one hero, a title, a cause and a consequence, three to eight
// sentences and a small vocabulary, so that a model of a few hundred thousand weights learns to
// write them within minutes.
//
// A story is a title line and, below it, one paragraph line or the lines of a dialogue ("Mia:
// ..."). It holds no blank line. offline.h makes a text of many.
#pragma once

#include <cstdint>
#include <string>

#include "adder/data/generate/story_grammar.h"

namespace adder::data {

/// Story number `index` of `seed`, title line included, without a newline at its end.
std::string make_story(uint64_t seed, int64_t index);

/// A story of these words in one paragraph, without its title.
std::string tell_story_about(Rng& rng, const StoryWords& words);

}  // namespace adder::data
