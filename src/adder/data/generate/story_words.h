// The words that stories are made of (stories.h). Data only.
#pragma once

#include <span>

namespace adder::data::words {

struct Name {
  const char* name;
  bool she;
};

struct Place {
  const char* name;    // "the harbour"
  const char* inside;  // "at the harbour"
};

/// A thing to own, lose, make or give, and what is done with it.
struct Thing {
  const char* name;  // "kite"
  const char* use;   // "fly the kite"
};

std::span<const Name> names();
std::span<const Place> places();
std::span<const Thing> things();
std::span<const char* const> kinds_she();  // "girl"; "fox" and other animals are in both
std::span<const char* const> kinds_he();
std::span<const char* const> traits();    // "brave"
std::span<const char* const> homes();     // "near the forest"
std::span<const char* const> weathers();  // "windy"
std::span<const char* const> times();     // "morning"
std::span<const char* const> colours();
std::span<const char* const> foods();  // "a warm apple pie"
std::span<const char* const> birds();
std::span<const char* const> sights();  // whole sentences about the surroundings
std::span<const char* const> sad();     // feelings
std::span<const char* const> glad();

}  // namespace adder::data::words
