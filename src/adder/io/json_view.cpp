#include <cmath>

#include "adder/base/error.h"
#include "adder/io/json.h"

namespace adder::io {
namespace {

constexpr std::size_t kQuotedBytes = 60;  // of a foreign value in an error text
constexpr std::size_t kKeyBytes = 500;    // of the way to it

std::string quoted(const Json& value) {
  if (value.is_number_float() && std::isinf(value.get<double>())) return "Infinity";
  if (value.is_object()) return "an object";
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() <= kQuotedBytes) return text;
  return text.substr(0, kQuotedBytes) + "...";
}

/// A key in an error text.
std::string shown(std::string_view key) {
  return std::string(key.substr(0, kKeyBytes)) + (key.size() > kKeyBytes ? "..." : "");
}

}  // namespace

JsonView::JsonView(const Json& value, std::string where, std::string key)
    : value_(&value), where_(std::move(where)), key_(std::move(key)) {}

std::string JsonView::name() const {
  return key_.empty() ? where_ : where_ + ": " + shown(key_);
}

void JsonView::fail(std::string_view expected) const {
  throw Error(ErrorKind::kFormat, {.what = name() + ": expected " + std::string(expected) +
                                           ", got " + quoted(*value_)});
}

JsonView JsonView::at(std::string_view key) const {
  if (!value_->is_object()) fail("an object");
  const auto member = value_->find(std::string(key));
  if (member == value_->end()) {
    throw Error(ErrorKind::kFormat,
                {.what = name() + ": the key \"" + shown(key) + "\" is missing"});
  }
  return {*member, where_, key_.empty() ? std::string(key) : key_ + "." + std::string(key)};
}

std::optional<JsonView> JsonView::find(std::string_view key) const {
  if (!value_->is_object()) fail("an object");
  const auto member = value_->find(std::string(key));
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return at(key);
}

std::vector<JsonView> JsonView::items() const {
  if (!value_->is_array()) fail("an array");
  std::vector<JsonView> views;
  views.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i) {
    views.emplace_back((*value_)[i], where_, key_ + "[" + std::to_string(i) + "]");
  }
  return views;
}

int64_t JsonView::as_integer(int64_t lowest, int64_t highest) const {
  const auto expectation = [&]() -> std::string {
    const bool open_top = highest == std::numeric_limits<int64_t>::max();
    if (lowest == std::numeric_limits<int64_t>::min() && open_top) return "an integer";
    if (lowest == 1 && open_top) return "a positive integer";
    if (open_top) return "an integer of at least " + std::to_string(lowest);
    return "an integer from " + std::to_string(lowest) + " to " + std::to_string(highest);
  };
  if (!value_->is_number_integer()) fail(expectation());
  if (value_->is_number_unsigned() && value_->get<uint64_t>() > uint64_t{INT64_MAX})
    fail(expectation());
  const auto value = value_->get<int64_t>();
  if (value < lowest || value > highest) fail(expectation());
  return value;
}

double JsonView::as_number(bool infinity) const {
  if (!value_->is_number()) fail("a number");
  const double value = value_->get<double>();
  if (!infinity && std::isinf(value)) fail("a finite number");
  return value;
}

bool JsonView::as_bool() const {
  if (!value_->is_boolean()) fail("true or false");
  return value_->get<bool>();
}

std::string JsonView::as_string() const {
  if (!value_->is_string()) fail("a string");
  return value_->get<std::string>();
}

std::vector<int64_t> JsonView::as_integers() const {
  std::vector<int64_t> values;
  for (const auto& item : items()) values.push_back(item.as_integer());
  return values;
}

std::vector<std::string> JsonView::as_strings() const {
  std::vector<std::string> values;
  for (const auto& item : items()) values.push_back(item.as_string());
  return values;
}

int64_t JsonView::positive(std::string_view key, int64_t fallback) const {
  const auto member = find(key);
  return member ? member->as_positive() : fallback;
}

int64_t JsonView::integer(std::string_view key, int64_t fallback) const {
  const auto member = find(key);
  return member ? member->as_integer() : fallback;
}

double JsonView::number(std::string_view key, double fallback) const {
  const auto member = find(key);
  return member ? member->as_number() : fallback;
}

bool JsonView::boolean(std::string_view key, bool fallback) const {
  const auto member = find(key);
  return member ? member->as_bool() : fallback;
}

std::string JsonView::string(std::string_view key, std::string fallback) const {
  const auto member = find(key);
  return member ? member->as_string() : std::move(fallback);
}

}  // namespace adder::io
