// The offline generator's dictionary. Data only.
#pragma once

#include <span>

namespace adder::data::words {

/// A word with its meaning. The examples are templates of story_plots.h.
struct Entry {
  const char* word;
  const char* meaning;   // of an adjective "not afraid of danger", of a verb "to hold something
                         // ...", of a noun "a lamp that can be carried"
  const char* opposite;  // of adjectives and verbs; or null
  const char* examples[3];
};

std::span<const Entry> adjectives();
std::span<const Entry> verbs();
std::span<const Entry> nouns();

}  // namespace adder::data::words
