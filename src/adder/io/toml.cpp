#include "adder/io/toml.h"

#include <toml++/toml.h>

#include <algorithm>
#include <charconv>

#include "adder/base/error.h"
#include "adder/base/list_text.h"
#include "adder/io/file.h"

namespace adder::io {
namespace {

constexpr int64_t kMaxBytes = 1 << 20;
constexpr int kMaxDepth = 16;  // groups within groups
constexpr int64_t kMaxDots =
    4096;  // each dot of a key is a level; toml++ takes them down recursively

[[noreturn]] void refuse(const std::string& file, uint32_t line, const std::string& why) {
  throw Error(ErrorKind::kConfig,
              {.what = file + ":" + std::to_string(line) + ": " + why, .where = file});
}

class Flattener {
 public:
  explicit Flattener(const std::string& file) : file_(file) {}

  std::vector<TomlEntry> entries;

  void table(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      const std::string_view name = key.str();
      const auto line = node.source().begin.line;
      if (std::ranges::count(prefix, '.') > kMaxDepth)
        refuse(file_, line, "groups nested too deep");
      if (name.empty() || name.find('.') != std::string_view::npos) {
        refuse(file_, line,
               "the key \"" + std::string(name) + "\" is empty or has a dot in quotes");
      }
      member(node, prefix + std::string(name), line);
    }
  }

 private:
  void member(const toml::node& node, const std::string& key, uint32_t line) {
    if (const auto* inner = node.as_table()) {
      table(*inner, key + ".");
    } else if (const auto* array = node.as_array()) {
      std::vector<std::string> elements;
      for (const auto& element : *array) elements.push_back(scalar(element, key));
      entries.push_back({key, join_list(elements), static_cast<int>(line)});
    } else {
      entries.push_back({key, scalar(node, key), static_cast<int>(line)});
    }
  }

  std::string scalar(const toml::node& node, const std::string& key) const {
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
    if (const auto* whole = node.as_integer()) return std::to_string(whole->get());
    if (const auto* number = node.as_floating_point()) {
      char buffer[32];
      return {buffer, std::to_chars(buffer, buffer + sizeof(buffer), number->get()).ptr};
    }
    refuse(file_, node.source().begin.line,
           key + ": expected a number, a string, true, false or a list of them");
  }

  const std::string& file_;
};

}  // namespace

std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& file) {
  if (static_cast<int64_t>(text.size()) > kMaxBytes || std::ranges::count(text, '.') > kMaxDots) {
    refuse(file, 1, "too large for a recipe");
  }
  Flattener flattener(file);
  try {
    flattener.table(toml::parse(text, file), "");
  } catch (const toml::parse_error& error) {
    refuse(file, error.source().begin.line, std::string(error.description()));
  }
  // toml++ keeps keys by name.
  std::ranges::stable_sort(flattener.entries, {}, &TomlEntry::line);
  return std::move(flattener.entries);
}

std::vector<TomlEntry> read_toml(const std::filesystem::path& path) {
  return parse_toml(read_file(path, kMaxBytes), path.string());
}

}  // namespace adder::io
