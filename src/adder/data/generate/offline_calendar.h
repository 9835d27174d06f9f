// The calendar of a common year, in words.
#pragma once

#include <string>

namespace adder::data::offline {

inline constexpr int kDaysInYear = 365;

struct Day {
  int month = 1, day = 1;  // both from 1
};

Day day_of_year(int number);  // 1 to 365
int number_in_year(const Day& day);
std::string month_name(int month);
std::string name_of(const Day& day);  // "July 20"
/// Of the northern half of the world, by whole months: spring is March to May.
std::string season_name(int month);
/// "February has 28 days, and 29 in a leap year."
std::string days_sentence(int month);

}  // namespace adder::data::offline
