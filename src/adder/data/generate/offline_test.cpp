#include "adder/data/generate/offline.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>
#include <unordered_set>

#include "adder/base/error.h"
#include "adder/data/generate/offline_calendar.h"
#include "adder/data/generate/offline_dates.h"
#include "adder/data/generate/offline_kinds.h"
#include "adder/data/generate/offline_topics.h"
#include "adder/data/generate/offline_words.h"
#include "adder/data/generate/text_filters.h"
#include "adder/data/test_folder.h"

namespace adder::data {
namespace {

std::string generate(const std::vector<std::string>& kinds, uint64_t seed, int64_t bytes) {
  std::string text;
  generate_offline(kinds, seed, bytes, [&](std::string_view piece) { text += piece; });
  return text;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(GenerateOffline, IsAFunctionOfItsArguments) {
  const auto& all = offline_kinds();
  const std::string text = generate(all, 7, 200000);
  EXPECT_EQ(text, generate(all, 7, 200000));
  EXPECT_NE(text, generate(all, 8, 200000));
  EXPECT_TRUE(text.starts_with(generate(all, 7, 50000)));
  EXPECT_GE(text.size(), 200000u);
  EXPECT_TRUE(text.ends_with("\n\n"));
}

TEST(GenerateOffline, NoParagraphComesTwiceInTwoMegabytes) {
  for (const uint64_t seed : {1, 2, 3}) {
    const std::string text = generate(offline_kinds(), seed, 2000000);
    std::unordered_set<std::string> blocks, paragraphs;
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = text.find("\n\n", begin);
      ASSERT_NE(end, std::string::npos);
      EXPECT_TRUE(blocks.insert(text.substr(begin, end - begin)).second) << seed;
      begin = end + 2;
    }
    for (const std::string& line : lines_of(text)) {
      if (line.size() >= 120) EXPECT_TRUE(paragraphs.insert(line).second) << line;
    }
    EXPECT_GT(paragraphs.size(), 3000u);
  }
}

TEST(GenerateOffline, EachKindAloneReachesTwoMegabytes) {
  for (const std::string& kind : offline_kinds()) {
    EXPECT_GE(generate({kind}, 4, 2000000).size(), 2000000u) << kind;
  }
}

TEST(GenerateOffline, IsPlainEnglishOfAFewThousandWords) {
  const std::string text = generate(offline_kinds(), 5, 2000000);
  for (const char c : text) ASSERT_TRUE(c == '\n' || (c >= ' ' && c < 0x7F)) << c;
  for (const char* bad : {"  ", "{", "}", "..", " .", " ,", "?.", "!.", "\n\n\n"}) {
    EXPECT_EQ(text.find(bad), std::string::npos)
        << text.substr(std::max<size_t>(text.find(bad), 80) - 80, 160);
  }
  const auto words = plain_words(text);
  EXPECT_LT(std::set<std::string>(words.begin(), words.end()).size(), 3000u);
  EXPECT_TRUE(looks_english(text));
}

TEST(GenerateOffline, ArticlesFitTheirWords) {
  const std::set<std::string> like_consonants = {"one",    "once",  "use",
                                                 "useful", "usual", "european"};
  const std::set<std::string> like_vowels = {"hour", "honest"};
  const std::string text = generate(offline_kinds(), 11, 2000000);
  int64_t articles = 0;
  for (const std::string& line : lines_of(text)) {
    const auto words = plain_words(line);
    for (size_t i = 0; i + 1 < words.size(); ++i) {
      if (words[i] != "a" && words[i] != "an") continue;
      const std::string& next = words[i + 1];
      const bool letter = std::string("aeiou").find(next.front()) != std::string::npos;
      const bool vowel = letter ? !like_consonants.contains(next) : like_vowels.contains(next);
      EXPECT_EQ(words[i], vowel ? "an" : "a") << line;
      ++articles;
    }
  }
  EXPECT_GT(articles, 10000);
}

TEST(GenerateOffline, TheDayAfterFebruary28IsThatOfACommonYear) {
  for (const std::string& line : lines_of(generate({"dates"}, 12, 2000000))) {
    const bool named = line.find("March 1 comes after") != std::string::npos ||
                       line.find("day before March 1 ") != std::string::npos ||
                       line.find("day before February 28 ") != std::string::npos;
    if (named) {
      EXPECT_NE(line.find("common year"), std::string::npos) << line;
    }
  }
}

TEST(GenerateOffline, EveryQuestionHasItsAnswerBelow) {
  int64_t questions = 0;
  const std::string text = generate({"chats", "words", "topics", "dates"}, 6, 500000);
  const auto lines = lines_of(text);
  for (size_t i = 0; i + 1 < lines.size(); ++i) {
    if (!lines[i].ends_with('?')) continue;
    ++questions;
    EXPECT_FALSE(lines[i + 1].empty()) << lines[i];
  }
  EXPECT_GT(questions, 2500);
}

/// What is said about a thing is the same each time: the answer to a question about the world
/// depends on the question alone, but for the pronoun.
TEST(GenerateOffline, QuestionsAboutTheWorldHaveOneAnswer) {
  std::map<std::string, std::set<std::string>> answers;
  const auto lines = lines_of(generate({"topics"}, 9, 1000000));
  for (size_t i = 0; i + 1 < lines.size(); ++i) {
    if (lines[i].ends_with('?')) answers[lines[i]].insert(lines[i + 1]);
  }
  EXPECT_GT(answers.size(), 400u);
  for (const auto& [question, given] : answers) EXPECT_LE(given.size(), 2u) << question;
}

TEST(GenerateOffline, KindsMustBeKnown) {
  const auto nothing = [](std::string_view) {};
  EXPECT_NE(error_of([&] { generate_offline({"poems"}, 1, 10, nothing); }).find("poems"),
            std::string::npos);
  EXPECT_NE(error_of([&] { generate_offline({}, 1, 10, nothing); }), "");
}

TEST(OfflineTopics, AreWellFormed) {
  std::set<std::string> questions;
  for (const auto list : {topics::animals(), topics::nature(), topics::things()}) {
    for (const topics::Topic& topic : list) {
      const std::string subject = topic.subject;
      EXPECT_EQ(offline::capital(topic.title), subject);
      const bool many = std::string(topic.pronoun) == "They";
      EXPECT_TRUE(many || std::string(topic.pronoun) == "It") << subject;
      for (const topics::Fact& fact : topic.facts) {
        EXPECT_TRUE(questions.insert(fact.question).second) << fact.question;
        EXPECT_TRUE(std::string(fact.question).ends_with('?')) << fact.question;
        const std::string predicate = fact.predicate;
        EXPECT_TRUE(predicate.back() >= 'a' && predicate.back() <= 'z' ||
                    predicate.back() >= '0' && predicate.back() <= '9')
            << predicate;
        // The verb agrees with the pronoun: "They are", "It is".
        const std::string verb = predicate.substr(0, predicate.find(' '));
        if (many) {
          EXPECT_TRUE(verb != "is" && verb != "has" && verb != "was") << subject << predicate;
        } else {
          EXPECT_TRUE(verb != "are" && verb != "have" && verb != "were") << subject << predicate;
        }
      }
    }
  }
}

TEST(OfflineDates, LieInTheCalendarInOrder) {
  int before = 0;
  for (const dates::Event& event : dates::events()) {
    const int number = offline::number_in_year({event.month, event.day});
    EXPECT_GT(number, before) << event.what;  // at most one a day
    before = number;
    EXPECT_TRUE(event.year >= 1600 && event.year <= 2024);
    EXPECT_TRUE(std::string(event.question).ends_with('?')) << event.question;
    EXPECT_TRUE(std::string(event.more).ends_with('.')) << event.more;
    EXPECT_FALSE(std::string(event.answer).ends_with('.')) << event.answer;
    EXPECT_FALSE(std::string(event.what).ends_with('.')) << event.what;
  }
}

TEST(OfflineCalendar, IsThatOfACommonYear) {
  using offline::day_of_year;
  using offline::name_of;
  using offline::number_in_year;
  EXPECT_EQ(name_of(day_of_year(1)), "January 1");
  EXPECT_EQ(name_of(day_of_year(59)), "February 28");
  EXPECT_EQ(name_of(day_of_year(60)), "March 1");
  EXPECT_EQ(name_of(day_of_year(201)), "July 20");
  EXPECT_EQ(name_of(day_of_year(365)), "December 31");
  for (int number = 1; number <= offline::kDaysInYear; ++number) {
    EXPECT_EQ(number_in_year(day_of_year(number)), number);
  }
  EXPECT_EQ(offline::season_name(12), "winter");
  EXPECT_EQ(offline::season_name(3), "spring");
  EXPECT_EQ(offline::season_name(7), "summer");
  EXPECT_EQ(offline::season_name(11), "autumn");
  EXPECT_EQ(offline::days_sentence(4), "April has 30 days.");
}

}  // namespace
}  // namespace adder::data
