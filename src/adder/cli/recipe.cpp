#include "adder/cli/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "adder/base/error.h"
#include "adder/io/toml.h"

namespace adder::cli {
namespace {

/// A typed JSON value of an option.
io::Json value_of(const OptionRef& ref) {
  return std::visit([](const auto* value) { return io::Json(*value); }, ref);
}

/// An error of one entry with the place in the file before it.
[[noreturn]] void rethrow_at(const Error& error, const std::string& place) {
  ErrorText text = error.text();
  text.where = place;
  throw Error(error.kind(), std::move(text));
}

}  // namespace

std::string expand_variables(const std::string& text, const std::string& where) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto begin = text.find("${", at);
    const auto end = begin == std::string::npos ? begin : text.find('}', begin);
    if (end == std::string::npos) return out + text.substr(at);
    out += text.substr(at, begin - at);
    const std::string name = text.substr(begin + 2, end - begin - 2);
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) {
      throw Error(ErrorKind::kConfig,
                  {.what = "the environment variable " + name + " is not set",
                   .where = where,
                   .why = "the value is \"" + text + "\"",
                   .next = "export " + name + "=..., or give the value itself"});
    }
    out += value;
    at = end + 1;
  }
  return out;
}

void LoadedRecipe::add_flags(Arguments& args) {
  args.options(flatten(recipe));
}

void LoadedRecipe::read(const std::filesystem::path& file, const Arguments& args) {
  const auto entries = flatten(recipe);
  for (const auto& setting : io::read_toml(file)) {
    const std::string place = fmt::format("{}:{}", file.string(), setting.line);
    try {
      const OptionEntry& entry = find_option(entries, setting.key);
      if (args.given(setting.key)) continue;
      set_from_text(entry, setting.text);
    } catch (const Error& error) {
      rethrow_at(error, place);
    }
    origin_[setting.key] = place;
  }
  for (const auto& entry : entries) {
    if (args.given(entry.key)) origin_[entry.key] = "flag";
    const std::string place =
        entry.key + (origin_.contains(entry.key) ? ", " + origin_[entry.key] : "");
    if (auto* text = std::get_if<std::string*>(&entry.value)) {
      **text = expand_variables(**text, place);
    } else if (auto* list = std::get_if<std::vector<std::string>*>(&entry.value)) {
      for (auto& text : **list) text = expand_variables(text, place);
    }
  }
}

void LoadedRecipe::set(const std::string& key, const std::string& text) {
  set_from_text(find_option(flatten(recipe), key), text);
  origin_[key] = "flag";
}

void LoadedRecipe::settle() {
  std::map<std::string, std::string> before;
  for (const auto& entry : flatten(recipe)) before[entry.key] = to_text(entry.value);
  recipe.settle();
  for (const auto& entry : flatten(recipe)) {
    if (before[entry.key] != to_text(entry.value)) origin_[entry.key] = "train.overfit";
  }
}

std::string LoadedRecipe::origin(const std::string& key) const {
  const auto found = origin_.find(key);
  return found == origin_.end() ? "" : found->second;
}

std::string LoadedRecipe::print_config() {
  std::string out;
  for (const auto& entry : flatten(recipe)) {
    const std::string from = origin(entry.key);
    out += fmt::format("{:<48} {}\n", entry.key + " = " + to_text(entry.value),
                       from.empty() ? "default" : from);
  }
  return out;
}

io::Json LoadedRecipe::to_json() {
  io::Json json = io::Json::object();
  for (const auto& entry : flatten(recipe)) {
    io::Json* place = &json;
    std::size_t begin = 0;
    for (std::size_t dot; (dot = entry.key.find('.', begin)) != std::string::npos;
         begin = dot + 1) {
      place = &(*place)[entry.key.substr(begin, dot - begin)];
    }
    (*place)[entry.key.substr(begin)] = value_of(entry.value);
  }
  return json;
}

}  // namespace adder::cli
