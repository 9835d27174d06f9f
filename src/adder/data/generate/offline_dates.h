// Days on which something happened that is worth knowing, out of science, travel, art and sport.
// Data only.
#pragma once

#include <span>

namespace adder::data::dates {

struct Event {
  int month, day, year;
  const char* what;      // "Apollo 11 landed on the Moon": a sentence without its end
  const char* question;  // "Which mission landed on the Moon on July 20, 1969?"
  const char* answer;    // "Apollo 11": a sentence without its end
  const char* more;      // a whole sentence
};

std::span<const Event> events();  // at most one for a day of the year

}  // namespace adder::data::dates
