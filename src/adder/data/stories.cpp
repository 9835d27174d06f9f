#include "adder/data/stories.h"

#include <array>
#include <cctype>
#include <map>
#include <string>
#include <unordered_set>

#include "adder/base/error.h"
#include "adder/base/rng.h"
#include "adder/data/story_plots.h"
#include "adder/data/story_words.h"

namespace adder::data {
namespace {

using Words = std::map<std::string, std::string, std::less<>>;

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

bool chance(Rng& rng, int64_t percent) {
  return rng.below(100) < percent;
}

/// "he", "him", "his" under keys that begin with `prefix`, and the name under `key`.
void add_person(Words& words, const std::string& key, const std::string& prefix,
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

/// All words that one story uses: the same hero, thing and places from its title to its end.
Words choose_words(Rng& rng) {
  Words words;
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

char upper(char c) {
  return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
}

/// What stands for {key}, {Key}, {a key} or {A key}.
std::string word_for(std::string_view slot, const Words& words) {
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

std::string fill(std::string_view text, const Words& words) {
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

/// "The Lost kite" -> "The Lost Kite".
std::string as_title(std::string title) {
  for (size_t i = 0; i < title.size(); ++i) {
    if (i == 0 || title[i - 1] == ' ') title[i] = upper(title[i]);
  }
  return title;
}

std::string tell_story(Rng& rng, const Words& words) {
  const plots::Plot& plot = pick(rng, plots::plots());
  const plots::Thread& thread = pick(rng, plot.threads);
  std::string story = as_title(fill(pick(rng, plot.titles), words)) + "\n";
  story += fill(pick(rng, plots::openings()), words);
  const auto say = [&](const char* sentence) { story += " " + fill(sentence, words); };
  const bool sight = chance(rng, 40);
  if (sight) say(pick(rng, words::sights()));
  say(pick(rng, plot.setups));
  say(thread.cause);
  const bool felt = chance(rng, 50);
  if (felt) say(pick(rng, plots::feelings()));
  const bool trouble = !felt || chance(rng, 70);
  if (trouble) say(thread.trouble);
  say(thread.help);
  const bool full = sight && felt && trouble;  // eight sentences with the outcome
  if (!full && chance(rng, 50)) say(pick(rng, plots::thanks()));
  say(thread.outcome);
  return story;
}

std::string tell_talk(Rng& rng, const Words& words) {
  const plots::Talk& talk = pick(rng, plots::talks());
  std::string out = as_title(fill(talk.title, words));
  const auto say = [&](const char* who, const char* line) {
    out += "\n" + words.at(who) + ": " + fill(line, words);
  };
  say("hero", pick(rng, talk.openings));
  const auto pairs = static_cast<int64_t>(talk.replies.size() / 2);
  const int64_t first = rng.below(pairs);
  const int64_t turns = 1 + rng.below(3);
  for (int64_t turn = 0; turn < turns; ++turn) {
    const auto at = static_cast<size_t>(2 * ((first + turn) % pairs));
    say("friend", talk.replies[at]);
    say("hero", talk.replies[at + 1]);
  }
  say("friend", pick(rng, talk.endings));
  return out;
}

/// FNV-1a of what stands below the title.
uint64_t body_hash(std::string_view story) {
  return stream_of(std::string(story.substr(story.find('\n') + 1)).c_str());
}

}  // namespace

std::string make_story(uint64_t seed, int64_t index) {
  Rng rng(seed, stream_of("data.stories") + static_cast<uint64_t>(index));
  const Words words = choose_words(rng);
  return chance(rng, 25) ? tell_talk(rng, words) : tell_story(rng, words);
}

int64_t generate_stories(uint64_t seed, int64_t target_bytes,
                         const std::function<void(std::string_view)>& write) {
  std::unordered_set<uint64_t> told;
  int64_t bytes = 0;
  for (int64_t index = 0; bytes < target_bytes; ++index) {
    const std::string story = make_story(seed, index);
    if (!told.insert(body_hash(story)).second) continue;
    const std::string piece = story + std::string(kStorySeparator);
    write(piece);
    bytes += static_cast<int64_t>(piece.size());
  }
  return static_cast<int64_t>(told.size());
}

}  // namespace adder::data
