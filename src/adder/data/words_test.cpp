// Word vocabularies out of a recipe's text.
#include <gtest/gtest.h>

#include "adder/base/error.h"
#include "adder/data/make_tokenizer.h"
#include "adder/data/prepare.h"
#include "adder/data/test_folder.h"
#include "adder/io/file.h"
#include "adder/text/word_tokenizer.h"

namespace adder::data {
namespace {

DataOptions options_for(const TestFolder& folder, const std::filesystem::path& text) {
  DataOptions options;
  options.text = {text.string()};
  options.tokenizer = "word";
  options.val_fraction = 0;
  options.cache = (folder / "cache").string();
  return options;
}

bool knows(const text::Tokenizer& tokenizer, std::string_view word) {
  return tokenizer.id_of(word).has_value();
}

TEST(Words, TheOrderInWhichAFolderListsItsFilesDoesNotMatter) {
  const TestFolder folder;
  const std::vector<std::pair<std::string, std::string>> files = {
      {"a.txt", "one two three\n"}, {"b/c.txt", "two three"}, {"d.txt", "three, four"}};
  for (const auto& [name, content] : files) folder.write("forward/" + name, content);
  for (size_t i = files.size(); i-- > 0;) {
    folder.write("backward/" + files[i].first, files[i].second);
  }
  for (const char* order : {"count", "appearance"}) {
    DataOptions forward = options_for(folder, folder / "forward");
    DataOptions backward = options_for(folder, folder / "backward");
    forward.word.order = backward.word.order = order;
    EXPECT_EQ(make_tokenizer(forward)->to_json(), make_tokenizer(backward)->to_json()) << order;
  }
  DataOptions listed = options_for(folder, folder / "forward/d.txt");
  listed.text.push_back((folder / "forward/b/c.txt").string());
  listed.text.push_back((folder / "forward/a.txt").string());
  EXPECT_EQ(make_tokenizer(listed)->to_json(),
            make_tokenizer(options_for(folder, folder / "forward"))->to_json());
}

TEST(Words, ARestartFindsTheSameIds) {
  const TestFolder folder;
  DataOptions options = options_for(folder, folder.write("t.txt", "one two two\r\nthree\n"));
  const PreparedData made = prepare(options);
  const PreparedData again = prepare(options);
  EXPECT_TRUE(again.reused);
  EXPECT_EQ(again.tokenizer->to_json(), made.tokenizer->to_json());
  EXPECT_EQ(again.shards->copy(again.shards->all()), made.shards->copy(made.shards->all()));
  EXPECT_EQ(made.tokenizer->decode(made.shards->copy(made.shards->all())), "one two two\nthree\n");
  options.word.min_count = 2;
  const PreparedData other = prepare(options);
  EXPECT_FALSE(other.reused);
  EXPECT_FALSE(knows(*other.tokenizer, "three"));
  const auto folder_made = folder / "shards";
  write_shards(options, folder_made);
  EXPECT_TRUE(std::filesystem::exists(folder_made / "word_tokenizer.json"));
  options.text = {folder_made.string()};
  EXPECT_EQ(prepare(options).tokenizer->to_json(), other.tokenizer->to_json());
}

TEST(Words, WhatIsHeldOutGivesNoWordsAndWhatIsLeftOutIsSaid) {
  const TestFolder folder;
  DataOptions options = options_for(folder, folder.write("t.txt", "one two two three"));
  options.val_text = {folder.write("v.txt", "two zebras \xE2\x98\x83\xE2\x98\x83").string()};
  const PreparedData made = prepare(options);
  EXPECT_FALSE(knows(*made.tokenizer, "zebras"));
  EXPECT_NE(made.note.find("5 characters of the text, left out 6 times"), std::string::npos)
      << made.note;  // z, b, a and s once, the snowman twice
  EXPECT_NE(made.note.find("U+2603 '\xE2\x98\x83' (2)"), std::string::npos) << made.note;
  options.val_text.clear();
  EXPECT_EQ(prepare(options).note, "");

  // Of one document, the words of its first part alone.
  options = options_for(folder, folder.write("long.txt", "a b c d e f g h i j"));
  options.val_fraction = 0.5;
  const auto half = make_tokenizer(options);
  EXPECT_TRUE(knows(*half, "e"));
  EXPECT_FALSE(knows(*half, "g"));
  // None of a word that the cut is in.
  options = options_for(folder, folder.write("cut.txt", "one three five seven"));
  options.val_fraction = 0.4;
  const auto cut = make_tokenizer(options);
  EXPECT_TRUE(knows(*cut, "three"));
  EXPECT_FALSE(knows(*cut, "fi"));
}

TEST(Words, ConversationsHaveTheirControlTokens) {
  const TestFolder folder;
  DataOptions options = options_for(
      folder,
      folder.write("t.jsonl", R"({"prompt": "who is it", "completion": "it is me <|im_end|>"})"
                              "\n"));
  options.chat_template = "chatml";
  const PreparedData made = prepare(options);
  const auto end = made.tokenizer->id_of("<|im_end|>");
  ASSERT_TRUE(end);
  EXPECT_TRUE(made.tokenizer->is_added(*end));
  const auto ids = made.shards->copy(made.shards->all());
  EXPECT_EQ(std::ranges::count(ids, *end), 2);  // the answer's own text is no control token
  EXPECT_EQ(made.note.find("spelt in letters"), std::string::npos) << made.note;
}

TEST(Words, ATextExtendsAVocabulary) {
  const TestFolder folder;
  const auto old_made =
      make_tokenizer(options_for(folder, folder.write("old.txt", "the cat sat\n")));
  const auto& old = dynamic_cast<const text::WordTokenizer&>(*old_made);
  DataOptions options = options_for(folder, folder.write("new.txt", "the dog sat, the dog ran"));
  options.word.min_count = 2;
  const auto grown = extend_tokenizer(old, options);
  EXPECT_EQ(grown->encode("the cat"), old.encode("the cat"));
  EXPECT_TRUE(knows(*grown, "dog"));
  EXPECT_FALSE(knows(*grown, "ran"));
  EXPECT_TRUE(knows(*grown, ","));
  EXPECT_EQ(extend_tokenizer(dynamic_cast<const text::WordTokenizer&>(*grown), options)->hash(),
            grown->hash());
  const PreparedData data = prepare(options, {}, grown);
  EXPECT_EQ(data.note, "");
  write_shards(options, folder / "shards");
  options.text = {(folder / "shards").string()};
  EXPECT_NE(error_of([&] { extend_tokenizer(old, options); }).find("shards"), std::string::npos);
}

}  // namespace
}  // namespace adder::data
