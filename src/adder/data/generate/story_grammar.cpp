#include "adder/data/generate/story_grammar.h"

#include <cctype>

#include "adder/base/error.h"
#include "adder/data/generate/story_words.h"

namespace adder::data {
namespace {

/// "he", "him", "his" under keys that begin with `prefix`, and the name under `key`.
void add_person(StoryWords& words, const std::string& key, const std::string& prefix,
                const words::Name& name, const char* kind) {
  words[key] = name.name;
  words[prefix + "he"] = name.she ? "she" : "he";
  words[prefix + "him"] = name.she ? "her" : "him";
  words[prefix + "his"] = name.she ? "her" : "his";
  words[prefix + "kind"] = kind;
}

const char* pick_kind(Rng& rng, const words::Name& name) {
  return pick(rng, name.she ? words::kinds_she() : words::kinds_he());
}

}  // namespace

StoryWords choose_words(Rng& rng) {
  StoryWords words;
  const words::Name& hero = pick(rng, words::names());
  const words::Name& friend_name = pick_other(rng, words::names(), hero);
  add_person(words, "hero", "", hero, pick_kind(rng, hero));
  add_person(words, "friend", "f", friend_name, pick_kind(rng, friend_name));
  const words::Place& place = pick(rng, words::places());
  const words::Place& other = pick_other(rng, words::places(), place);
  words["place"] = place.name;
  words["inplace"] = place.inside;
  words["other"] = other.name;
  words["inother"] = other.inside;
  const words::Thing& thing = pick(rng, words::things());
  words["thing"] = thing.name;
  words["use"] = thing.use;
  words["trait"] = pick(rng, words::traits());
  words["home"] = pick(rng, words::homes());
  words["weather"] = pick(rng, words::weathers());
  words["time"] = pick(rng, words::times());
  words["colour"] = pick(rng, words::colours());
  words["food"] = pick(rng, words::foods());
  words["bird"] = pick(rng, words::birds());
  words["sad"] = pick(rng, words::sad());
  words["glad"] = pick(rng, words::glad());
  return words;
}

namespace {

char upper(char c) {
  return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
}

/// What stands for {key}, {Key}, {a key} or {A key}.
std::string word_for(std::string_view slot, const StoryWords& words) {
  const bool capital = slot.front() >= 'A' && slot.front() <= 'Z';
  const bool article = slot.starts_with("a ") || slot.starts_with("A ");
  std::string key(article ? slot.substr(2) : slot);
  if (!article)
    key.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(key.front())));
  const auto found = words.find(key);
  if (found == words.end()) {
    throw Error(ErrorKind::kInternal,
                {.what = "a story template has an unknown slot", .where = key});
  }
  std::string word = found->second;
  if (article) {
    const bool vowel = std::string_view("aeiou").find(word.front()) != std::string_view::npos;
    word = (vowel ? "an " : "a ") + word;
  }
  if (capital) word.front() = upper(word.front());
  return word;
}

}  // namespace

std::string fill(std::string_view text, const StoryWords& words) {
  std::string out;
  while (true) {
    const size_t open = text.find('{');
    out += text.substr(0, open);
    if (open == std::string_view::npos) return out;
    const size_t close = text.find('}', open);
    out += word_for(text.substr(open + 1, close - open - 1), words);
    text.remove_prefix(close + 1);
  }
}

std::string as_title(std::string title) {
  for (size_t i = 0; i < title.size(); ++i) {
    if (i == 0 || title[i - 1] == ' ') title[i] = upper(title[i]);
  }
  return title;
}

}  // namespace adder::data
