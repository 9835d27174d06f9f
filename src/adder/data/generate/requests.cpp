#include "adder/data/generate/requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "adder/base/error.h"
#include "adder/base/printable.h"
#include "adder/base/rng.h"
#include "adder/io/file.h"
#include "adder/io/toml.h"
#include "adder/io/utf8.h"

namespace adder::data {
namespace {

constexpr std::string_view kSlot = "{item}";
constexpr size_t kMaxItemBytes = 200;

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool is_plain_name(std::string_view name) {
  constexpr size_t kMaxBytes = 60;
  return !name.empty() && name.size() <= kMaxBytes && std::ranges::all_of(name, is_plain);
}

std::string_view trimmed(std::string_view line) {
  const size_t begin = std::min(line.find_first_not_of(" \t\r"), line.size());
  const size_t end = line.find_last_not_of(" \t\r");
  return line.substr(begin, end == std::string_view::npos ? 0 : end + 1 - begin);
}

[[noreturn]] void refuse_item(const std::filesystem::path& file, int line, std::string why) {
  throw Error(ErrorKind::kFormat, {.what = "this line is no item of a list",
                                   .where = fmt::format("{}:{}", file.string(), line),
                                   .why = std::move(why)});
}

std::string prompt_for(const PromptTemplate& form, std::string_view item) {
  std::string prompt = form.prompt;
  for (size_t at = 0; (at = prompt.find(kSlot, at)) != std::string::npos; at += item.size()) {
    prompt.replace(at, kSlot.size(), item);
  }
  return prompt;
}

}  // namespace

ItemList read_item_list(const std::filesystem::path& file) {
  ItemList list;
  const std::string name = file.filename().string();
  list.name = name.substr(0, name.find('.'));
  if (!is_plain_name(list.name)) {
    throw Error(ErrorKind::kUsage,
                {.what = "a list is named by its file, in small letters",
                 .where = printable(file.string(), 500),
                 .next = "call it words.txt, topics.txt or dates.txt, or as your templates do"});
  }
  list.items = read_items(file);
  return list;
}

std::vector<std::string> read_items(const std::filesystem::path& file) {
  constexpr int64_t kMaxBytes = 64 << 20;
  std::vector<std::string> items;
  const std::string text = io::read_file(file, kMaxBytes);
  std::unordered_set<std::string_view> seen;
  int number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const auto item = trimmed(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
    ++number;
    if (item.empty() || item.front() == '#' || !seen.insert(item).second) continue;
    if (item.size() > kMaxItemBytes) {
      refuse_item(file, number, "it is longer than 200 bytes");
    }
    if (!io::is_utf8(item)) refuse_item(file, number, "it is not UTF-8");
    items.emplace_back(item);
  }
  if (items.empty()) {
    throw Error(ErrorKind::kFormat, {.what = "the list has no item", .where = file.string()});
  }
  return items;
}

std::vector<PromptTemplate> built_in_templates() {
  return {
      {"words", "definition",
       "Explain the word \"{item}\" to a learner of English in two or three short sentences of "
       "plain text. Begin with the word itself."},
      {"words", "examples",
       "Write four short example sentences that use the word \"{item}\", one on each line, without "
       "numbers."},
      {"words", "story",
       "Write a short story for children of about 100 words in which the word \"{item}\" matters. "
       "Use simple words. Write only the story."},
      {"topics", "paragraph",
       "Write one paragraph of about 100 words about {item}, as in an encyclopedia for children. "
       "Write plain text without a heading."},
      {"topics", "questions",
       "Write five short questions about {item}, each with its answer in one sentence. Put each "
       "question on a line of its own and its answer on the next line, without numbers or labels."},
      {"dates", "events",
       "What happened on {item} in the history of science, technology, art or sport? Name two or "
       "three events with their years, in plain sentences."}};
}

std::vector<PromptTemplate> read_templates(const std::filesystem::path& file) {
  std::vector<PromptTemplate> templates;
  for (const auto& entry : io::read_toml(file)) {
    const std::string where = fmt::format("{}:{}", file.string(), entry.line);
    const size_t dot = entry.key.find('.');
    const std::string list = entry.key.substr(0, dot);
    const std::string name = dot == std::string::npos ? "" : entry.key.substr(dot + 1);
    if (!is_plain_name(list) || !is_plain_name(name)) {
      throw Error(ErrorKind::kConfig,
                  {.what = "a template is NAME = \"...\" in the group of its list",
                   .where = where,
                   .why = "\"" + printable(entry.key, 200) + "\" is not LIST.NAME of small letters",
                   .next = "[words]\nstory = \"Write a story about {item}.\""});
    }
    if (entry.text.find(kSlot) == std::string::npos) {
      throw Error(ErrorKind::kConfig,
                  {.what = "the template \"" + entry.key + "\" has no {item}", .where = where});
    }
    templates.push_back({list, name, entry.text});
  }
  if (templates.empty()) {
    throw Error(ErrorKind::kConfig, {.what = "the file has no template", .where = file.string()});
  }
  return templates;
}

std::vector<GenerateTask> make_tasks(const std::vector<ItemList>& lists,
                                     const std::vector<PromptTemplate>& templates, int64_t seed) {
  std::vector<GenerateTask> tasks;
  std::unordered_set<std::string> seen;
  for (const ItemList& list : lists) {
    if (std::ranges::find(templates, list.name, &PromptTemplate::list) == templates.end()) {
      throw Error(ErrorKind::kConfig,
                  {.what = "no template takes the items of \"" + list.name + "\"",
                   .next = "--templates FILE with a group [" + list.name + "]"});
    }
    for (const std::string& item : list.items) {
      for (const PromptTemplate& form : templates) {
        if (form.list != list.name) continue;
        GenerateTask task{.list = list.name, .item = item, .name = form.name};
        if (!seen.insert(task.key()).second) continue;  // two files of one name
        task.prompt = prompt_for(form, item);
        constexpr uint64_t kLargest = 0x7FFFFFFF;  // what every server takes
        const uint64_t mixed = static_cast<uint64_t>(seed) * 0x9E3779B97F4A7C15ull;
        task.seed = static_cast<int64_t>((stream_of(task.key().c_str()) ^ mixed) % kLargest);
        task.file = list.name + "/" + form.name + "/" + file_stem(item) + ".txt";
        tasks.push_back(std::move(task));
      }
    }
  }
  return tasks;
}

std::string file_stem(std::string_view item) {
  constexpr size_t kMaxBytes = 60;
  if (is_plain_name(item) && item.front() != '-') return std::string(item);
  std::string stem;
  for (char c : item.substr(0, kMaxBytes)) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if (!is_plain(c)) c = '-';
    if (c == '-' && (stem.empty() || stem.back() == '-')) continue;
    stem += c;
  }
  if (!stem.empty() && stem.back() != '-') stem += '-';
  return stem + fmt::format("{:08x}", stream_of(std::string(item).c_str()) >> 32);
}

}  // namespace adder::data
