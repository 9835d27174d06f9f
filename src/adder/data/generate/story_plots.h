// How stories run (stories.h): templates that are filled with words. Data only.
//
// In a template {key} is replaced by the story's word for it, {Key} by the same with a capital
// letter, and {a key} by the word after "a" or "an". Keys: hero, he, him, his (of the hero);
// friend, fhe, fhim, fhis (of the friend); kind, fkind, trait, home, weather, time, colour, thing,
// use, place, inplace, other, inother, food, bird, sad, glad.
#pragma once

#include <span>

namespace adder::data::plots {

/// One way that things go wrong and right again: each sentence follows from the one before.
struct Thread {
  const char* cause;
  const char* trouble;
  const char* help;
  const char* outcome;
};

struct Plot {
  std::span<const char* const> titles;
  std::span<const char* const> setups;  // what the hero has or wants
  std::span<const Thread> threads;
};

/// A talk between hero (first) and friend, a line each in turn.
struct Talk {
  const char* title;
  std::span<const char* const> openings;
  std::span<const char* const>
      replies;  // pairs: a reply of the friend, then what the hero says to it
  std::span<const char* const> endings;  // of the friend
};

std::span<const char* const> openings();  // who the hero is
std::span<const char* const> feelings();  // after the cause
std::span<const char* const> thanks();    // after the help
std::span<const Plot> plots();
std::span<const Talk> talks();

}  // namespace adder::data::plots
