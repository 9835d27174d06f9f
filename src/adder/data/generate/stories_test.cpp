#include "adder/data/generate/stories.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <unordered_set>

#include "adder/data/generate/offline.h"
#include "adder/data/generate/story_words.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"

namespace adder::data {
namespace {

std::string generate(uint64_t seed, int64_t bytes) {
  std::string text;
  generate_stories(seed, bytes, [&](std::string_view piece) { text += piece; });
  return text;
}

std::vector<std::string_view> stories_of(std::string_view text) {
  std::vector<std::string_view> stories;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(kStorySeparator, at), text.size());
    stories.push_back(text.substr(at, end - at));
    at = end + kStorySeparator.size();
  }
  return stories;
}

/// Sentence ends outside of quotations, before a space and the beginning of a new sentence.
int sentences(std::string_view line) {
  int count = 1;
  bool quoted = false;
  for (size_t i = 0; i + 2 < line.size(); ++i) {
    if (line[i] == '"') quoted = !quoted;
    const bool end = std::string_view(".!?").find(line[i]) != std::string_view::npos;
    const size_t space = i + (line[i + 1] == '"' ? 2 : 1);
    if (!end || space + 1 >= line.size() || line[space] != ' ') continue;
    if (quoted && space == i + 1) continue;
    const char next = line[space + 1];
    if (next == '"' || std::isupper(static_cast<unsigned char>(next)) != 0) ++count;
  }
  return count;
}

TEST(Stories, SameSeedGivesTheSameBytes) {
  const std::string first = generate(3, 300000);
  EXPECT_EQ(io::hash128_hex(io::as_bytes(first)),
            io::hash128_hex(io::as_bytes(generate(3, 300000))));
  EXPECT_NE(first, generate(4, 300000));
  EXPECT_TRUE(first.starts_with(generate(3, 100000)));
}

TEST(Stories, NoParagraphComesTwiceInTwoMegabytes) {
  const std::string text = generate(1, 2000000);
  EXPECT_GE(text.size(), 2000000u);
  EXPECT_LT(text.size(), 2002000u);
  std::unordered_set<std::string_view> bodies;
  for (const std::string_view story : stories_of(text)) {
    const std::string_view body = story.substr(story.find('\n') + 1);
    EXPECT_TRUE(bodies.insert(body).second) << body;
  }
  EXPECT_GT(bodies.size(), 4000u);
}

TEST(Stories, HaveATitleAHeroAndThreeToEightSentences) {
  std::set<std::string> heroes;
  const std::string text = generate(5, 500000);
  for (const std::string_view story : stories_of(text)) {
    const size_t title_end = story.find('\n');
    ASSERT_NE(title_end, std::string_view::npos);
    const std::string_view body = story.substr(title_end + 1);
    EXPECT_EQ(story.find_first_of("{}"), std::string_view::npos) << story;
    EXPECT_EQ(story.find("  "), std::string_view::npos) << story;
    const std::string_view last = story.substr(story.size() - 1);
    EXPECT_TRUE(last == "." || last == "!" || last == "?") << story;
    int most = 0;
    for (const words::Name& name : words::names()) {
      int count = 0;
      for (size_t at = body.find(name.name); at != std::string_view::npos;
           at = body.find(name.name, at + 1)) {
        ++count;
      }
      if (count > most) most = count;
      if (count > 0) heroes.insert(name.name);
    }
    EXPECT_GE(most, 2) << story;
    const auto lines = 1 + std::count(body.begin(), body.end(), '\n');
    const auto length = lines > 1 ? lines : sentences(body);
    EXPECT_GE(length, 3) << story;
    EXPECT_LE(length, 8) << story;
  }
  EXPECT_EQ(heroes.size(), words::names().size());
}

TEST(Stories, AreOfAFewPlainCharacters) {
  const std::string text = generate(6, 500000);
  std::set<char> characters(text.begin(), text.end());
  EXPECT_LE(characters.size(), 64u);
  for (const char c : characters) EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 0x7F));
}

TEST(Stories, StopAtTheFirstStoryThatReachesTheTarget) {
  EXPECT_EQ(generate(1, 1), make_story(1, 0) + "\n\n");
  EXPECT_EQ(generate_stories(1, 0, [](std::string_view) { FAIL(); }), 0);
}

}  // namespace
}  // namespace adder::data
