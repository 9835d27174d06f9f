#include "adder/data/generate/requests.h"

#include <gtest/gtest.h>

#include <set>

#include "adder/data/test_folder.h"

namespace adder::data {
namespace {

TEST(GenerateRequests, BuiltInListsHaveTemplates) {
  const auto lists = built_in_lists();
  const auto tasks = make_tasks(lists, built_in_templates(), 1);
  size_t expected = 0;  // words take three templates, topics two, dates one
  for (const ItemList& list : lists) {
    const size_t forms = list.name == "words" ? 3 : list.name == "topics" ? 2 : 1;
    expected += forms * list.items.size();
  }
  EXPECT_EQ(tasks.size(), expected);
  std::set<std::string> files;
  std::set<int64_t> seeds;
  for (const GenerateTask& task : tasks) {
    EXPECT_TRUE(files.insert(task.file).second) << task.file;
    seeds.insert(task.seed);
    EXPECT_TRUE(task.seed >= 0 && task.seed < (int64_t{1} << 31));
    EXPECT_EQ(task.prompt.find("{item}"), std::string::npos);
    EXPECT_NE(task.prompt.find(task.item), std::string::npos);
    EXPECT_EQ(task.file.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_/."),
              std::string::npos);
  }
  EXPECT_EQ(seeds.size(), tasks.size());
  EXPECT_EQ(make_tasks(lists, built_in_templates(), 1)[5].seed, tasks[5].seed);
  EXPECT_NE(make_tasks(lists, built_in_templates(), 2)[5].seed, tasks[5].seed);
}

TEST(GenerateRequests, FileStemsAreSafeAndDiffer) {
  EXPECT_EQ(file_stem("apple"), "apple");
  std::set<std::string> stems;
  const std::string items[] = {"apple",
                               "Apple",
                               "APPLE",
                               "a b",
                               "a-b",
                               "a  b",
                               "../../etc/passwd",
                               "..",
                               ".",
                               "-rf",
                               "caf\u00E9",
                               "\u00E9",
                               "CON",
                               "a/b",
                               std::string(200, 'x'),
                               std::string(199, 'x')};
  for (const std::string& item : items) {
    const std::string stem = file_stem(item);
    EXPECT_TRUE(stems.insert(stem).second) << item;
    EXPECT_LT(stem.size(), 80u);
    EXPECT_EQ(stem.find_first_of("/. "), std::string::npos) << stem;
    EXPECT_NE(stem.front(), '-') << stem;
  }
}

TEST(GenerateRequests, ReadsLists) {
  const TestFolder folder;
  const auto list = read_item_list(
      folder.write("topics.en.txt", "# what to write about\n\n  the Moon \r\nfoxes\nfoxes\n"));
  EXPECT_EQ(list.name, "topics");
  EXPECT_EQ(list.items, (std::vector<std::string>{"the Moon", "foxes"}));
  EXPECT_NE(error_of([&] { read_item_list(folder.write("empty.txt", "# none\n")); }), "");
  EXPECT_NE(error_of([&] { read_item_list(folder.write("Bad Name.txt", "x\n")); }), "");
  EXPECT_NE(error_of([&] { read_item_list(folder.write("a.txt", "x\n\xFF\n")); }).find("a.txt:2"),
            std::string::npos);
  EXPECT_NE(error_of([&] { read_item_list(folder.write("b.txt", std::string(201, 'x'))); }), "");
}

TEST(GenerateRequests, ReadsTemplates) {
  const TestFolder folder;
  const auto forms = read_templates(folder.write(
      "t.toml",
      "[animals]\nlife = \"How does {item} live? {item}!\"\nfood = \"Food of {item}\"\n"));
  ASSERT_EQ(forms.size(), 2u);
  const auto tasks = make_tasks({{"animals", {"a fox"}}}, forms, 1);
  ASSERT_EQ(tasks.size(), 2u);
  std::set<std::string> prompts;
  for (const auto& task : tasks) prompts.insert(task.prompt);
  EXPECT_TRUE(prompts.contains("How does a fox live? a fox!"));
  EXPECT_NE(error_of([&] {
              make_tasks({{"birds", {"owl"}}}, forms, 1);
            }).find("birds"),
            std::string::npos);
  for (const char* bad : {"x = \"{item}\"", "[a]\nx = \"no slot\"", "[a]\n\"X Y\" = \"{item}\"",
                          "[a.b]\nc = \"{item}\"", ""}) {
    EXPECT_NE(error_of([&] { read_templates(folder.write("bad.toml", bad)); }), "") << bad;
  }
}

TEST(GenerateRequests, AnItemThatLooksLikeASlotEndsTheFilling) {
  const auto tasks = make_tasks({{"words", {"{item}{item}"}}}, {{"words", "x", "<{item}>"}}, 1);
  EXPECT_EQ(tasks.at(0).prompt, "<{item}{item}>");
}

}  // namespace
}  // namespace adder::data
