// What the offline generator knows about the world: plain facts, each with the question that it
// answers. Data only.
#pragma once

#include <span>

namespace adder::data::topics {

struct Fact {
  const char* question;   // "What do foxes eat?"
  const char* predicate;  // "eat mice, eggs and berries": with the subject before it, the answer
};

struct Topic {
  const char* title;    // "foxes": after "Tell me about"
  const char* subject;  // "Foxes": begins an answer
  const char* pronoun;  // "They": begins the further sentences of a paragraph
  const char* is;       // "are wild animals of the dog family": always said first
  Fact facts[6];        // true in any order
};

std::span<const Topic> animals();
std::span<const Topic> nature();
std::span<const Topic> things();

}  // namespace adder::data::topics
