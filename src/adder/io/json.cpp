#include "adder/io/json.h"

#include <cmath>
#include <unordered_set>

#include "adder/base/error.h"
#include "adder/io/file.h"

namespace adder::io {
namespace {

constexpr std::size_t kQuotedBytes = 60;  // of a foreign value in an error text

std::string quoted(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() <= kQuotedBytes) return text;
  return text.substr(0, kQuotedBytes) + "...";
}

// Builds the document itself: the parser's own builder looks every key up in a list (quadratic in
// the keys of an object, and a vocabulary has 50,000) and takes the last of two equal keys without
// a word.
class Builder {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  Builder(const std::string& where, int max_depth) : where_(where), max_depth_(max_depth) {}

  Json root;

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(number_integer_t value) { return add(value); }
  bool number_unsigned(number_unsigned_t value) { return add(value); }
  bool number_float(number_float_t value, const string_t&) { return add(value); }
  bool string(string_t& value) { return add(std::move(value)); }
  bool binary(binary_t&) { return false; }  // never called for text

  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(string_t& name) {
    if (!stack_.back().keys.insert(name).second) {
      throw Error(ErrorKind::kFormat,
                  {.what = where_ + ": the key \"" + name + "\" stands twice in one object"});
    }
    stack_.back().next_key = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception& error) {
    std::string why = error.what();
    if (const auto end = why.find("] "); end != std::string::npos) why = why.substr(end + 2);
    throw Error(
        ErrorKind::kFormat,
        {.what = where_ + ": not valid JSON at byte " + std::to_string(position), .why = why});
  }

 private:
  struct Level {
    Json* container;
    std::string next_key;
    std::unordered_set<std::string> keys;
  };

  template <typename T>
  Json& place(T&& value) {
    if (stack_.empty()) return root = Json(std::forward<T>(value));
    Level& level = stack_.back();
    if (level.container->is_array()) {
      auto& array = level.container->template get_ref<Json::array_t&>();
      return array.emplace_back(std::forward<T>(value));
    }
    // The vector beneath the ordered map: its own emplace would search.
    std::vector<std::pair<const std::string, Json>>& members =
        level.container->template get_ref<Json::object_t&>();
    return members.emplace_back(std::move(level.next_key), Json(std::forward<T>(value))).second;
  }

  template <typename T>
  bool add(T&& value) {
    place(std::forward<T>(value));
    return true;
  }

  bool open(Json&& container) {
    if (static_cast<int>(stack_.size()) >= max_depth_) {
      throw Error(ErrorKind::kFormat, {.what = where_ + ": nested deeper than " +
                                               std::to_string(max_depth_) + " levels"});
    }
    Json& placed = place(std::move(container));
    stack_.push_back({&placed, {}, {}});
    return true;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  const std::string& where_;
  int max_depth_;
  std::vector<Level> stack_;  // a container does not move while it is open: only it grows
};

}  // namespace

Json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits) {
  if (static_cast<int64_t>(text.size()) > limits.max_bytes) {
    throw Error(ErrorKind::kFormat,
                {.what = where + ": larger than " + std::to_string(limits.max_bytes) + " bytes"});
  }
  Builder builder(where, limits.max_depth);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return std::move(builder.root);
}

Json read_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(read_file(path, limits.max_bytes), path.string(), limits);
}

void write_json_file(const std::filesystem::path& path, const Json& value) {
  try {
    write_file_atomic(path, value.dump(2) + "\n");
  } catch (const Json::type_error&) {
    throw Error(ErrorKind::kFormat, {.what = "cannot write JSON: a text in it is not valid UTF-8",
                                     .where = path.string()});
  }
}

JsonView::JsonView(const Json& value, std::string where, std::string key)
    : value_(&value), where_(std::move(where)), key_(std::move(key)) {}

std::string JsonView::name() const {
  return key_.empty() ? where_ : where_ + ": " + key_;
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
                {.what = name() + ": the key \"" + std::string(key) + "\" is missing"});
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

double JsonView::as_number() const {
  if (!value_->is_number()) fail("a number");
  return value_->get<double>();
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
