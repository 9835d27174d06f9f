#include "adder/data/generate/offline_calendar.h"

#include <array>

namespace adder::data::offline {
namespace {

constexpr std::array<const char*, 12> kMonths = {"January",   "February", "March",    "April",
                                                 "May",       "June",     "July",     "August",
                                                 "September", "October",  "November", "December"};
constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

}  // namespace

Day day_of_year(int number) {
  size_t month = 0;
  for (; number > kDays[month]; ++month) number -= kDays[month];
  return {static_cast<int>(month) + 1, number};
}

int number_in_year(const Day& day) {
  int number = day.day;
  for (int month = 1; month < day.month; ++month) number += kDays[static_cast<size_t>(month - 1)];
  return number;
}

std::string month_name(int month) {
  return kMonths[static_cast<size_t>(month - 1)];
}

std::string name_of(const Day& day) {
  return month_name(day.month) + " " + std::to_string(day.day);
}

std::string season_name(int month) {
  constexpr std::array<const char*, 4> kSeasons = {"winter", "spring", "summer", "autumn"};
  return kSeasons[static_cast<size_t>(month % 12 / 3)];
}

std::string days_sentence(int month) {
  const std::string days = std::to_string(kDays[static_cast<size_t>(month - 1)]);
  const std::string leap = month == 2 ? ", and 29 in a leap year" : "";
  return month_name(month) + " has " + days + " days" + leap + ".";
}

}  // namespace adder::data::offline
