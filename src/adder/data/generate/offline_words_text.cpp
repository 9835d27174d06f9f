// Entries of the dictionary, and questions about words.
#include "adder/data/generate/offline_kinds.h"
#include "adder/data/generate/offline_words.h"
#include "adder/data/generate/story_grammar.h"

namespace adder::data::offline {
namespace {

using words::Entry;

enum class Part { kAdjective, kVerb, kNoun };

struct Word {
  Part part = Part::kAdjective;
  const Entry* entry = nullptr;

  /// The word as a sentence about its meaning names it: "brave", "to carry", "a lantern".
  std::string named() const {
    if (part == Part::kVerb) return std::string("to ") + entry->word;
    return part == Part::kNoun ? with_article(entry->word) : entry->word;
  }
  const char* part_name() const {
    return part == Part::kVerb ? "verb" : part == Part::kNoun ? "noun" : "adjective";
  }
  /// "Brave means not afraid of danger.", "A lantern is a lamp that can be carried."
  std::string meaning() const {
    return capital(named()) + (part == Part::kNoun ? " is " : " means ") + entry->meaning + ".";
  }
  std::string opposite() const {
    const std::string to = part == Part::kVerb ? "to " : "";
    return "The opposite of " + to + entry->word + " is " + to + entry->opposite + ".";
  }
};

Word pick_word(Rng& rng) {
  const auto adjectives = words::adjectives(), verbs = words::verbs(), nouns = words::nouns();
  const auto count = static_cast<int64_t>(adjectives.size() + verbs.size() + nouns.size());
  auto at = static_cast<size_t>(rng.below(count));
  if (at < adjectives.size()) return {Part::kAdjective, &adjectives[at]};
  at -= adjectives.size();
  if (at < verbs.size()) return {Part::kVerb, &verbs[at]};
  return {Part::kNoun, &nouns[at - verbs.size()]};
}

std::string example(Rng& rng, const Word& word, size_t number) {
  const StoryWords slots = choose_words(rng);
  return fill(word.entry->examples[number % 3], slots);
}

Exchange ask_meaning(Rng& rng, const Word& word) {
  std::string question = "What does the word " + std::string(word.entry->word) + " mean?";
  if (chance(rng, 60)) {
    question = word.part == Part::kNoun ? "What is " + word.named() + "?"
                                        : std::string("What does ") + word.entry->word + " mean?";
  }
  return {asked(rng, question), word.meaning()};
}

Exchange ask_example(Rng& rng, const Word& word, size_t number) {
  const std::string name = word.entry->word;
  const std::string asking[] = {"Can you use the word " + name + " in a sentence?",
                                "Give me an example with the word " + name + ".",
                                "Please make a sentence with " + name + "."};
  return {pick(rng, std::span<const std::string>(asking)), example(rng, word, number)};
}

Exchange ask_part(const Word& word) {
  const std::string name = word.entry->word;
  const std::string part = word.part_name();
  return {"What kind of word is " + name + "?", capital(name) + " is " + with_article(part) + "."};
}

Exchange ask_opposite(const Word& word) {
  const std::string to = word.part == Part::kVerb ? "to " : "";
  return {"What is the opposite of " + to + word.entry->word + "?", word.opposite()};
}

Document ask_questions(Rng& rng, const Word& word) {
  std::string body;
  const auto add = [&](const Exchange& exchange) {
    body += (body.empty() ? "" : "\n") + exchange.first + "\n" + exchange.second;
  };
  add(ask_meaning(rng, word));
  if (chance(rng, 30)) add(ask_part(word));
  if (word.entry->opposite != nullptr && chance(rng, 60)) add(ask_opposite(word));
  const auto first = static_cast<size_t>(rng.below(3));
  add(ask_example(rng, word, first));
  if (chance(rng, 40)) add({"And another one, please.", example(rng, word, first + 1)});
  return {"", body};
}

}  // namespace

Exchange ask_about_word(Rng& rng) {
  const Word word = pick_word(rng);
  const auto number = static_cast<size_t>(rng.below(3));
  if (word.entry->opposite != nullptr && chance(rng, 25)) return ask_opposite(word);
  return chance(rng, 60) ? ask_meaning(rng, word) : ask_example(rng, word, number);
}

Document make_word(Rng& rng) {
  const Word word = pick_word(rng);
  if (chance(rng, 40)) return ask_questions(rng, word);
  std::string body = word.meaning();
  if (chance(rng, 50)) {
    const std::string part = word.part_name();
    body = capital(word.entry->word) + " is " + with_article(part) + ". " + body;
  }
  if (word.entry->opposite != nullptr && chance(rng, 60)) body += " " + word.opposite();
  const auto first = static_cast<size_t>(rng.below(3));
  const auto count = static_cast<size_t>(1 + rng.below(3));
  for (size_t i = 0; i < count; ++i) body += " " + example(rng, word, first + i);
  return {capital(word.entry->word), body};
}

}  // namespace adder::data::offline
