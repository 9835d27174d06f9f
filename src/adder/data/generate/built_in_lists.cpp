// built_in_lists() of requests.h: what the offline generator knows is what a language
// model is asked about.
#include "adder/data/generate/offline_calendar.h"
#include "adder/data/generate/offline_topics.h"
#include "adder/data/generate/offline_words.h"
#include "adder/data/generate/requests.h"

namespace adder::data {

std::vector<ItemList> built_in_lists() {
  ItemList words{.name = "words"}, topics{.name = "topics"}, dates{.name = "dates"};
  for (const auto list : {words::adjectives(), words::verbs(), words::nouns()}) {
    for (const words::Entry& entry : list) words.items.emplace_back(entry.word);
  }
  for (const auto list : {topics::animals(), topics::nature(), topics::things()}) {
    for (const topics::Topic& topic : list) topics.items.emplace_back(topic.title);
  }
  for (int day = 1; day <= offline::kDaysInYear; ++day) {
    dates.items.push_back(offline::name_of(offline::day_of_year(day)));
  }
  return {std::move(words), std::move(topics), std::move(dates)};
}

}  // namespace adder::data
