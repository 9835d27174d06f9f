// What a language model is asked to write: one request for each item of a list and each template of
// that list.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace adder::data {

/// Things to write about. The name is that of its templates: "words", "topics", "dates".
struct ItemList {
  std::string name;
  std::vector<std::string> items;
};

/// The lists that come with Adder, which are also what offline texts are about.
std::vector<ItemList> built_in_lists();

/// A file with an item a line. Empty lines and those that begin with "#" are passed over, and so
/// are items that came before. Throws kFormat for what is not UTF-8, an item above 200 bytes, and a
/// file without any.
std::vector<std::string> read_items(const std::filesystem::path& file);

/// The items of a file, named by its file name up to the first dot (of a-z, 0-9, "-" and "_").
ItemList read_item_list(const std::filesystem::path& file);

/// A prompt in which "{item}" stands for the item.
struct PromptTemplate {
  std::string list;  // of which it takes items
  std::string name;  // "definition"
  std::string prompt;
};

std::vector<PromptTemplate> built_in_templates();

/// A TOML file with a group for each list, in it NAME = "prompt with {item}". Throws kConfig.
std::vector<PromptTemplate> read_templates(const std::filesystem::path& file);

struct GenerateTask {
  std::string list, item, name;  // name: of the template
  std::string prompt;
  int64_t seed = 0;  // that the model draws with
  std::string file;  // "words/definition/apple.txt", below the folder of texts

  /// What makes it the same request: list, item and template.
  std::string key() const { return list + '\n' + item + '\n' + name; }
};

/// Item by item; each task has a seed of its own, which only `seed` and its key decide. Throws
/// kConfig for a list that no template takes.
std::vector<GenerateTask> make_tasks(const std::vector<ItemList>& lists,
                                     const std::vector<PromptTemplate>& templates, int64_t seed);

/// A file name's stem for an item: itself where it is plain, else what is plain of it and a hash.
std::string file_stem(std::string_view item);

}  // namespace adder::data
