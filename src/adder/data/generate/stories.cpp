#include "adder/data/generate/stories.h"

#include <string>

#include "adder/base/rng.h"
#include "adder/data/generate/story_grammar.h"
#include "adder/data/generate/story_plots.h"
#include "adder/data/generate/story_words.h"

namespace adder::data {
namespace {

std::string tell_story(Rng& rng, const StoryWords& words) {
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

std::string tell_talk(Rng& rng, const StoryWords& words) {
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

}  // namespace

std::string make_story(uint64_t seed, int64_t index) {
  Rng rng(seed, stream_of("data.stories") + static_cast<uint64_t>(index));
  const StoryWords words = choose_words(rng);
  return chance(rng, 25) ? tell_talk(rng, words) : tell_story(rng, words);
}

std::string tell_story_about(Rng& rng, const StoryWords& words) {
  const std::string story = tell_story(rng, words);
  return story.substr(story.find('\n') + 1);
}

}  // namespace adder::data
