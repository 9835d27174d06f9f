// Days of the year: what happened on them, in the world and in the tales of a town that is made up,
// and where they lie in the calendar.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "adder/data/generate/offline_calendar.h"
#include "adder/data/generate/offline_dates.h"
#include "adder/data/generate/offline_kinds.h"
#include "adder/data/generate/story_grammar.h"

namespace adder::data::offline {
namespace {

using dates::Event;

const Event* event_on(const Day& day) {
  for (const Event& event : dates::events()) {
    if (event.month == day.month && event.day == day.day) return &event;
  }
  return nullptr;
}

/// One of all days, but half of the time one on which something happened.
Day pick_day(Rng& rng) {
  if (chance(rng, 50)) {
    const Event& event = pick(rng, dates::events());
    return {event.month, event.day};
  }
  return day_of_year(static_cast<int>(1 + rng.below(kDaysInYear)));
}

constexpr const char* kTales[] = {
    "In the tales of Larkhill, {hero} the {kind} found {a colour} {thing} {inplace} on this day.",
    "In the tales of Larkhill, {hero} learned to {use} on this day.",
    "In the tales of Larkhill, it was on this day that {friend} brought {hero} {food}.",
    "In the tales of Larkhill, {hero} and {friend} walked to {other} on this day.",
    "In the tales of Larkhill, this was {a weather} day, and {hero} stayed {inplace}.",
    "In the tales of Larkhill, {a bird} stole the {thing} of {hero} on this day.",
    "In the tales of Larkhill, everybody came to {place} on this day to share {food}.",
    "In the tales of Larkhill, {friend} the {fkind} was lost {inother} on this day, and {hero} "
    "found "
    "{fhim}.",
    "In the tales of Larkhill, {hero} wrote a letter to {friend} on this {weather} {time}.",
    "In the tales of Larkhill, somebody painted the {thing} of {hero} {colour} on this day."};

std::string place_in_year(const Day& day) {
  const int number = number_in_year(day);
  const int left = kDaysInYear - number;
  const std::string rest = left == 0   ? "no day remains"
                           : left == 1 ? "one day remains"
                                       : fmt::format("{} days remain", left);
  return fmt::format("{} is day {} of a common year, and {} after it.", name_of(day), number, rest);
}

/// February 28 and March 1, between which a leap year has another day.
bool beside_leap_day(int number) {
  return number == 59 || number == 60;
}

std::string neighbours(const Day& day) {
  const int number = number_in_year(day);
  const Day before = day_of_year(number == 1 ? kDaysInYear : number - 1);
  const Day after = day_of_year(number == kDaysInYear ? 1 : number + 1);
  return fmt::format("{} day before {} is {}, and the day after is {}.",
                     beside_leap_day(number) ? "In a common year, the" : "The", name_of(day),
                     name_of(before), name_of(after));
}

std::string season(const Day& day) {
  return fmt::format("In {} it is {} in the north of the world and {} in the south.",
                     month_name(day.month), season_name(day.month),
                     season_name((day.month + 5) % 12 + 1));
}

Exchange ask_event(Rng& rng, const Event& event) {
  const std::string date = name_of({event.month, event.day});
  const std::string when = fmt::format("{}, {}", date, event.year);
  if (chance(rng, 50)) {
    return {asked(rng, fmt::format("What happened on {}?", chance(rng, 50) ? when : date)),
            fmt::format("On {}, {}.", when, event.what)};
  }
  return {asked(rng, event.question), std::string(event.answer) + "."};
}

Exchange ask_calendar(Rng& rng, const Day& day) {
  const std::string month = month_name(day.month);
  const std::string date = name_of(day);
  const int after = day.month % 12 + 1, before = (day.month + 10) % 12 + 1;
  switch (rng.below(6)) {
    case 0:
      return {"How many days does " + month + " have?", days_sentence(day.month)};
    case 1:
      return {"Which month comes after " + month + "?",
              month_name(after) + " comes after " + month + "."};
    case 2:
      return {"Which month comes before " + month + "?",
              month_name(before) + " comes before " + month + "."};
    case 3: {
      const int number = number_in_year(day);
      return {"Which day comes after " + date + "?",
              name_of(day_of_year(number % kDaysInYear + 1)) + " comes after " + date +
                  (number == 59 ? " in a common year." : ".")};
    }
    case 4:
      return {"Which season is it in " + month + "?", season(day)};
    default:
      return {"Which day of the year is " + date + "?",
              fmt::format("{} is day {} of a common year.", date, number_in_year(day))};
  }
}

}  // namespace

Exchange ask_about_date(Rng& rng) {
  const Day day = pick_day(rng);
  const Event* event = event_on(day);
  return event != nullptr && chance(rng, 75) ? ask_event(rng, *event) : ask_calendar(rng, day);
}

Document make_date(Rng& rng) {
  const Day day = pick_day(rng);
  const Event* event = event_on(day);
  if (chance(rng, 35)) {
    std::string body;
    const auto add = [&](const Exchange& exchange) {
      body += (body.empty() ? "" : "\n") + exchange.first + "\n" + exchange.second;
    };
    if (event != nullptr) add(ask_event(rng, *event));
    const int64_t more = 1 + rng.below(4);
    std::vector<std::string> asked_before;
    for (int64_t i = 0; i < more; ++i) {
      const Exchange exchange = ask_calendar(rng, i % 2 == 0 ? day : pick_day(rng));
      if (std::ranges::find(asked_before, exchange.first) != asked_before.end()) continue;
      asked_before.push_back(exchange.first);
      add(exchange);
    }
    return {"", body};
  }
  std::string body;
  const auto say = [&](const std::string& sentence) {
    body += (body.empty() ? "" : " ") + sentence;
  };
  if (event != nullptr) {
    say(fmt::format("On {}, {}, {}.", name_of(day), event->year, event->what));
    if (chance(rng, 70)) say(event->more);
  } else {
    say(fmt::format("{} is a day in {}.", name_of(day), season_name(day.month)));
  }
  std::array<std::string, 3> calendar = {place_in_year(day), neighbours(day), season(day)};
  const int64_t skipped = rng.below(event != nullptr ? 4 : 3);
  for (int64_t i = 0; i < 3; ++i) {
    if (i != skipped && chance(rng, event != nullptr ? 50 : 80))
      say(calendar[static_cast<size_t>(i)]);
  }
  if (event == nullptr || chance(rng, 60)) {
    const StoryWords slots = choose_words(rng);
    say(fill(pick(rng, std::span<const char* const>(kTales)), slots));
  }
  return {name_of(day), body};
}

}  // namespace adder::data::offline
