#include "adder/model/option_check.h"

#include <algorithm>
#include <cmath>

#include "adder/base/error.h"
#include "adder/base/options.h"

namespace adder::model {
namespace {

std::string text_of(double value) {
  return to_text(OptionRef(&value));
}

}  // namespace

void fail_option(std::string_view key, const std::string& value, std::string why) {
  throw Error(ErrorKind::kConfig, {.what = std::string(key) + " = " + value + " does not fit",
                                   .where = std::string(key),
                                   .why = std::move(why)});
}

void require_within(std::string_view key, int64_t value, int64_t lowest, int64_t highest) {
  if (value >= lowest && value <= highest) return;
  fail_option(key, std::to_string(value),
              "it must lie between " + std::to_string(lowest) + " and " + std::to_string(highest));
}

void require_number(std::string_view key, double value, double lowest, double highest,
                    bool strictly) {
  if (std::isfinite(value) && (strictly ? value > lowest : value >= lowest) && value <= highest) {
    return;
  }
  fail_option(key, text_of(value),
              "it must be a number " + std::string(strictly ? "above " : "of at least ") +
                  text_of(lowest) + " and at most " + text_of(highest));
}

void require_choice(std::string_view key, const std::string& value,
                    const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  std::string known;
  for (const std::string& choice : choices) known += (known.empty() ? "" : ", ") + choice;
  fail_option(key, "'" + value + "'", "it must be one of: " + known);
}

}  // namespace adder::model
