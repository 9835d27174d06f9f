#include "adder/io/json.h"

#include <cctype>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "adder/base/error.h"
#include "adder/io/file.h"

template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace adder::io {
namespace {

// JSON has no infinity, Python's writer has: "time_step_limit": [0.0, Infinity] stands in published
// configurations. The parser gets a number in its place, spelt as nobody spells one; the writer a
// string.
constexpr std::string_view kInfinity = "Infinity";
constexpr std::string_view kInfinityNumber = "0.0e-00000";
constexpr std::string_view kInfinityMark = "\x01Infinity";

std::string replace_infinity(std::string_view text) {
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto stands_alone = [&](std::size_t at) {
      return at >= text.size() || std::isalnum(static_cast<unsigned char>(text[at])) == 0;
    };
    if (!in_string && text.substr(i).starts_with(kInfinity) && stands_alone(i - 1) &&
        stands_alone(i + kInfinity.size())) {
      out += kInfinityNumber;
      i += kInfinity.size() - 1;
      continue;
    }
    out += text[i];
    if (in_string && text[i] == '\\' && i + 1 < text.size()) {
      out += text[++i];
    } else if (text[i] == '"') {
      in_string = !in_string;
    }
  }
  return out;
}

// Puts marks where the infinities are; the depth is bounded as the document was built by Adder.
void mark_infinity(Json& value) {
  if (value.is_number_float() && std::isinf(value.get<double>())) {
    value = (value.get<double>() < 0 ? "-" : "") + std::string(kInfinityMark);
  } else if (value.is_structured()) {
    for (auto& member : value) mark_infinity(member);
  }
}

std::string with_infinity(std::string text) {
  for (const std::string sign : {"", "-"}) {
    const std::string mark = "\"" + sign + "\\u0001Infinity\"";
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
      text.replace(at, mark.size(), sign + std::string(kInfinity));
    }
  }
  return text;
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
  bool number_float(number_float_t value, const string_t& text) {
    if (text != kInfinityNumber && text != "-" + std::string(kInfinityNumber)) return add(value);
    const double infinity = std::numeric_limits<double>::infinity();
    return add(text.front() == '-' ? -infinity : infinity);
  }
  bool string(string_t& value) { return add(std::move(value)); }
  bool binary(binary_t&) { return false; }  // never called for text

  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(string_t& name) {
    if (!stack_.back().keys.insert(name).second) {
      throw Error(ErrorKind::kFormat, {.what = where_ + ": the key \"" + name.substr(0, 500) +
                                               "\" stands twice in one object"});
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
  if (text.find('\0') != std::string_view::npos) {  // the parser takes it for the end of the text
    throw Error(ErrorKind::kFormat, {.what = where + ": not valid JSON: a NUL byte stands in it"});
  }
  Builder builder(where, limits.max_depth);
  if (text.find(kInfinity) == std::string_view::npos) {
    Json::sax_parse(text.begin(), text.end(), &builder);
  } else {
    Json::sax_parse(replace_infinity(text), &builder);
  }
  return std::move(builder.root);
}

Json read_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(read_file(path, limits.max_bytes), path.string(), limits);
}

void write_json_file(const std::filesystem::path& path, const Json& value) {
  try {
    Json marked = value;
    mark_infinity(marked);
    write_file_atomic(path, with_infinity(marked.dump(2)) + "\n");
  } catch (const Json::type_error&) {
    throw Error(ErrorKind::kFormat, {.what = "cannot write JSON: a text in it is not valid UTF-8",
                                     .where = path.string()});
  }
}

}  // namespace adder::io
