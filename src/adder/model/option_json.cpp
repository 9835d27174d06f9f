#include "adder/model/option_json.h"

#include <algorithm>

#include "adder/base/error.h"

namespace adder::model {
namespace {

io::Json value_of(const OptionRef& ref) {
  return std::visit([](auto* value) { return io::Json(*value); }, ref);
}

void set(const OptionRef& ref, const io::JsonView& view) {
  if (auto* const* flag = std::get_if<bool*>(&ref)) {
    **flag = view.as_bool();
  } else if (auto* const* integer = std::get_if<int64_t*>(&ref)) {
    **integer = view.as_integer();
  } else if (auto* const* number = std::get_if<double*>(&ref)) {
    **number = view.as_number();
  } else if (auto* const* text = std::get_if<std::string*>(&ref)) {
    **text = view.as_string();
  } else if (auto* const* words = std::get_if<std::vector<std::string>*>(&ref)) {
    **words = view.as_strings();
  } else {
    std::vector<double> numbers;
    for (const io::JsonView& item : view.items()) numbers.push_back(item.as_number());
    *std::get<std::vector<double>*>(ref) = std::move(numbers);
  }
}

bool is_group(const std::vector<OptionEntry>& entries, const std::string& key) {
  return std::any_of(entries.begin(), entries.end(),
                     [&](const OptionEntry& entry) { return entry.key.starts_with(key + "."); });
}

void read_object(const io::JsonView& object, const std::string& prefix,
                 const std::vector<OptionEntry>& entries) {
  for (const auto& item : object.json().items()) {
    const io::JsonView member = object.at(item.key());
    const std::string key = prefix + item.key();
    if (item.value().is_object() && is_group(entries, key)) {
      read_object(member, key + ".", entries);
    } else {
      set(find_option(entries, key).value, member);
    }
  }
}

}  // namespace

io::Json options_to_json(const std::vector<OptionEntry>& entries) {
  io::Json root = io::Json::object();
  for (const OptionEntry& entry : entries) {
    io::Json* place = &root;
    std::size_t begin = 0;
    for (std::size_t dot = entry.key.find('.'); dot != std::string::npos;
         dot = entry.key.find('.', begin)) {
      place = &(*place)[entry.key.substr(begin, dot - begin)];
      begin = dot + 1;
    }
    (*place)[entry.key.substr(begin)] = value_of(entry.value);
  }
  return root;
}

void options_from_json(const io::Json& json, const std::vector<OptionEntry>& entries,
                       const std::string& file) {
  try {
    const io::JsonView root(json, file);
    if (!json.is_object()) root.fail("an object");
    read_object(root, "", entries);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kConfig && error.kind() != ErrorKind::kFormat) throw;
    // A wrong type names its file already; an unknown option does not.
    const Error named = error.kind() == ErrorKind::kConfig ? error.within(file) : error;
    throw Error(ErrorKind::kConfig, named.text());
  }
}

}  // namespace adder::model
