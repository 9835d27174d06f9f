#include "adder/model/config_fields.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "adder/base/error.h"
#include "adder/base/options.h"

namespace adder::model {
namespace {

constexpr double kLargestFloat = std::numeric_limits<float>::max();

/// A bound of a range: a number or Infinity, bare, as text or {"__float__": "Infinity"}.
double bound_of(const io::JsonView& bound) {
  const auto tagged = bound.json().is_object() ? bound.find("__float__") : std::nullopt;
  const io::JsonView& value = tagged ? *tagged : bound;
  if (value.json().is_string() && value.as_string() == "Infinity") return kNoLimit;
  const double number = value.as_number(true);
  return number >= kLargestFloat ? kNoLimit : number;
}

}  // namespace

void unsupported_field(const io::JsonView& field, std::string why) {
  throw Error(ErrorKind::kUnsupported, {.what = "this model computes something that Adder does not",
                                        .where = field.name(),
                                        .why = std::move(why)});
}

int64_t read_expand(const io::JsonView& root) {
  const auto field = root.find("expand");
  if (!field) return kDefaultExpand;
  if (!field->json().is_number_float()) return field->as_integer(1, kMaxExpand);
  const double value = field->as_number();
  if (!(value >= 1 && value <= kMaxExpand && value == std::floor(value))) {
    field->fail("an integer from 1 to " + std::to_string(kMaxExpand));
  }
  return static_cast<int64_t>(value);
}

FieldReader::FieldReader(io::JsonView object) : object_(std::move(object)) {
  if (!object_.json().is_object()) object_.fail("an object");
}

void FieldReader::size(const char* key, int64_t& value, std::optional<int64_t> fallback,
                       int64_t highest) {
  known_.insert(key);
  if (!fallback || object_.has(key)) {
    value = object_.at(key).as_integer(1, highest);
  } else {
    value = *fallback;
  }
}

void FieldReader::expand(int64_t& value) {
  known_.insert("expand");
  value = read_expand(object_);
}

void FieldReader::count(const char* key, int64_t& value, int64_t fallback) {
  known_.insert(key);
  const auto field = object_.find(key);
  value = field ? field->as_integer(0) : fallback;
}

void FieldReader::size_or_none(const char* key, int64_t& value) {
  known_.insert(key);
  const auto field = object_.find(key);
  const bool none = !field || (field->json().is_string() && field->as_string() == "auto");
  value = none ? 0 : field->as_positive();
}

void FieldReader::number(const char* key, double& value, double fallback) {
  known_.insert(key);
  value = object_.number(key, fallback);
}

void FieldReader::number_or_none(const char* key, double& value) {
  number(key, value, 0);
  if (object_.has(key) && !(value > 0)) object_.at(key).fail("a positive number");
}

void FieldReader::flag(const char* key, bool& value, bool fallback) {
  known_.insert(key);
  value = object_.boolean(key, fallback);
}

void FieldReader::text(const char* key, std::string& value, const char* fallback) {
  known_.insert(key);
  value = object_.string(key, fallback);
}

void FieldReader::range(const char* key, double& low, double& high, double lowest, double highest) {
  known_.insert(key);
  low = lowest;
  high = highest;
  const auto field = object_.find(key);
  if (!field) return;
  const std::vector<io::JsonView> bounds = field->items();
  if (bounds.size() != 2) field->fail("two numbers");
  low = bound_of(bounds[0]);
  high = bound_of(bounds[1]);
}

void FieldReader::fixed(const char* key, const io::Json& value) {
  known_.insert(key);
  const auto field = object_.find(key);
  if (!field || field->json() == value) return;
  if (field->json().type() != value.type()) field->fail(value.dump());
  unsupported_field(*field, "it is " + field->json().dump() + ", Adder computes " + value.dump());
}

void FieldReader::refuse_unknown(std::initializer_list<const char*> others) const {
  std::vector<std::string> names(known_.begin(), known_.end());
  names.insert(names.end(), others.begin(), others.end());
  for (const auto& member : object_.json().items()) {
    if (std::ranges::find(names, member.key()) != names.end()) continue;
    const std::string near = nearest(member.key(), names);
    throw Error(ErrorKind::kConfig, {.what = "there is no field '" + member.key() + "'",
                                     .where = object_.name(),
                                     .next = near.empty() ? "" : "did you mean '" + near + "'?"});
  }
}

void FieldWriter::size(const char* key, int64_t& value, std::optional<int64_t> /*fallback*/,
                       int64_t /*highest*/) {
  (*object_)[key] = value;
}

void FieldWriter::expand(int64_t& value) {
  (*object_)["expand"] = value;
}

void FieldWriter::count(const char* key, int64_t& value, int64_t /*fallback*/) {
  (*object_)[key] = value;
}

void FieldWriter::size_or_none(const char* key, int64_t& value) {
  if (value > 0) (*object_)[key] = value;
}

void FieldWriter::number(const char* key, double& value, double /*fallback*/) {
  (*object_)[key] = value;
}

void FieldWriter::number_or_none(const char* key, double& value) {
  if (value > 0) (*object_)[key] = value;
}

void FieldWriter::flag(const char* key, bool& value, bool /*fallback*/) {
  (*object_)[key] = value;
}

void FieldWriter::text(const char* key, std::string& value, const char* /*fallback*/) {
  (*object_)[key] = value;
}

void FieldWriter::range(const char* key, double& low, double& high, double lowest, double highest) {
  if (low == lowest && high == highest) return;
  // No infinity in JSON: the largest float stands for it.
  (*object_)[key] = {low, std::min(high, kLargestFloat)};
}

void FieldWriter::fixed(const char* key, const io::Json& value) {
  (*object_)[key] = value;
}

}  // namespace adder::model
