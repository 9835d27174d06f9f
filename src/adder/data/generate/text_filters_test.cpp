#include "adder/data/generate/text_filters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>

#include "adder/data/generate/near_duplicates.h"
#include "adder/data/generate/offline.h"
#include "adder/data/test_folder.h"

namespace adder::data {
namespace {

const char* const kGood =
    "Once there was a fox who lived by the river. It was cold, and she had no food. A friend came "
    "with some bread, and they shared it. From then on they were never alone in the winter.";

TEST(CleanReply, TakesOutTalkAroundTheText) {
  EXPECT_EQ(clean_reply("Sure! Here is a short story about apples:\n\nThe apple fell."),
            "The apple fell.");
  EXPECT_EQ(
      clean_reply("Here's a paragraph about bees:\nBees fly.\n\nLet me know if you want more!"),
      "Bees fly.");
  EXPECT_EQ(clean_reply("Certainly!\n\nBees fly."), "Bees fly.");
  EXPECT_EQ(clean_reply("Sure! The apple fell."), "The apple fell.");
  EXPECT_EQ(clean_reply("<think>\nThe user wants a story.\n</think>\n\nThe apple fell."),
            "The apple fell.");
  EXPECT_EQ(clean_reply("<think>never closed"), "");
  // A text that only begins like talk stays.
  EXPECT_EQ(clean_reply("Here is where the fox lives.\nIt is warm."),
            "Here is where the fox lives.\nIt is warm.");
  EXPECT_EQ(clean_reply("Great storms came.\nNobody slept."), "Great storms came.\nNobody slept.");
}

TEST(CleanReply, TakesOutMarkdown) {
  EXPECT_EQ(clean_reply("# The Apple\n\n**Apples** are *red* or `green`."),
            "The Apple\n\nApples are red or green.");
  EXPECT_EQ(clean_reply("* one\n- two\n12. three\n3) four\n> five"), "one\ntwo\nthree\nfour\nfive");
  EXPECT_EQ(clean_reply("a\n---\nb\n```\ncode\n```"), "a\n\nb\n\ncode");
  EXPECT_EQ(clean_reply("See [the book](http://x.org/a) now."), "See the book now.");
  EXPECT_EQ(clean_reply("2 * 3 * 4 is 24"), "2 * 3 * 4 is 24");
  EXPECT_EQ(clean_reply("1969 was a year."), "1969 was a year.");
  EXPECT_EQ(clean_reply("a\n\n\n\n\nb  \r\n"), "a\n\nb");
  EXPECT_EQ(clean_reply("\u201CSo,\u201D it\u2019s \u2026"), "\"So,\" it's ...");
  for (const char* odd : {"", "**", "*", "[](", "](", "`", "___", "#", "> ", "- "})
    clean_reply(odd);
}

TEST(TextFilters, KeepWhatIsGood) {
  EXPECT_EQ(TextFilters().reason_against(kGood), std::nullopt);
}

TEST(TextFilters, NameTheReason) {
  TextFilters filters;
  const auto reason = [&](const std::string& text) {
    return filters.reason_against(text).value_or("none");
  };
  EXPECT_EQ(reason(""), "nothing is left of it");
  EXPECT_EQ(reason("Short."), "too short: 6 characters");
  EXPECT_EQ(reason(std::string(kGood) + "\xFF"), "it is not UTF-8");
  EXPECT_TRUE(reason("I'm sorry, but I cannot write about the thing that you want to have.")
                  .starts_with("the model speaks of itself"));
  EXPECT_EQ(reason("Es war einmal ein Fuchs, der wohnte am Fluss. Es war kalt, und er hatte nichts "
                   "zu essen. Da kam ein Freund mit Brot, und sie teilten es miteinander."),
            "it does not look like English");
  EXPECT_EQ(reason("\u041E\u0434\u043D\u0430\u0436\u0434\u044B \u0436\u0438\u043B\u0430 "
                   "\u043B\u0438\u0441\u0430 \u0443 \u0440\u0435\u043A\u0438 \u0438 "
                   "\u0435\u0439 \u0431\u044B\u043B\u043E \u0445\u043E\u043B\u043E\u0434\u043D"),
            "it does not look like English");
  filters.blocklist = {"by the River", "lone"};  // "alone" in the text is another word
  EXPECT_EQ(reason(kGood), "blocked: by the River");
  filters.blocklist = {"lone"};
  EXPECT_EQ(reason(kGood), "none");
  std::string again;
  for (int i = 0; i < 5; ++i) again += "The fox ran over the hill and was glad of it. ";
  EXPECT_EQ(reason(again), "it repeats itself: 80 % of its words");
  filters.max_repeated = 1;
  EXPECT_EQ(reason(again), "none");
  filters.max_chars = 100;
  EXPECT_EQ(reason(kGood),
            "too long: " + std::to_string(std::string(kGood).size()) + " characters");
}

TEST(TextFilters, ARefusalStandsAtTheBeginning) {
  EXPECT_EQ(TextFilters().reason_against(std::string(kGood) + " \"I cannot swim,\" she said."),
            std::nullopt);
  EXPECT_EQ(TextFilters().reason_against("Once a fox said to the bear in the forest by the river, "
                                         "\"I cannot swim, but I can run with you.\""),
            std::nullopt);
}

TEST(TextFilters, TheirNumbersFitEachOther) {
  TextFilters filters;
  EXPECT_EQ(error_of([&] { filters.check(); }), "");
  filters.max_chars = filters.min_chars - 1;
  EXPECT_NE(error_of([&] { filters.check(); }), "");
  filters = {.max_repeated = std::nan("")};
  EXPECT_NE(error_of([&] { filters.check(); }), "");
}

TEST(TextFilters, ABlocklistHasAnyNameAndNoEmptyPhrase) {
  const TestFolder folder;
  const std::vector<std::string> two = {"poison", "by the river"};
  EXPECT_EQ(read_blocklist(folder.write("My_List.txt", "poison\n# a comment\nby the river\n")),
            two);
  const std::string said =
      error_of([&] { read_blocklist(folder.write("b.txt", "poison\n----\n")); });
  EXPECT_NE(said.find("----"), std::string::npos) << said;
}

TEST(TextFilters, LengthsAreOfCharacters) {
  TextFilters filters{.min_chars = 5, .max_chars = 5, .english = false};
  EXPECT_EQ(filters.reason_against("\u00E4\u00F6\u00FC\u00DF\u00E9"), std::nullopt);
}

TEST(TextFilters, RepeatedShareCountsWordsOfRunsThatCameBefore) {
  const auto share = [](const char* text) { return repeated_share(plain_words(text)); };
  EXPECT_EQ(share("one two three four five six seven"), 0);
  // Eleven words; the five of the second run are repeated.
  EXPECT_DOUBLE_EQ(share("a b c d e x a b c d e"), 5.0 / 11.0);
  EXPECT_EQ(share("a a a"), 0);
}

TEST(TextFilters, LastSentence) {
  EXPECT_EQ(up_to_last_sentence("One. Two is cut o"), "One.");
  EXPECT_EQ(up_to_last_sentence("He said \"No!\" and the"), "He said \"No!\"");
  EXPECT_EQ(up_to_last_sentence("It costs 3.5 and"), "");
  EXPECT_EQ(up_to_last_sentence("All of it."), "All of it.");
}

/// |A and B| / |A or B| of the sets of runs of three words.
double jaccard(const std::string& a, const std::string& b) {
  const auto runs = [](const std::string& text) {
    const auto words = plain_words(text);
    std::vector<std::string> all;
    for (size_t i = 0; i + 3 <= words.size(); ++i) {
      all.push_back(words[i] + " " + words[i + 1] + " " + words[i + 2]);
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  };
  const auto x = runs(a), y = runs(b);
  std::vector<std::string> both;
  std::set_intersection(x.begin(), x.end(), y.begin(), y.end(), std::back_inserter(both));
  return static_cast<double>(both.size()) / static_cast<double>(x.size() + y.size() - both.size());
}

TEST(NearDuplicates, MinHashEstimatesTheJaccardSimilarity) {
  // Texts of 200 words of which a known part differs; the mean error over 40 pairs is within four
  // standard errors (each at most 0.5 / sqrt(128)).
  double error = 0, worst = 0;
  constexpr int kPairs = 40;
  for (int pair = 0; pair < kPairs; ++pair) {
    std::string a, b;
    for (int i = 0; i < 200; ++i) {
      const std::string word = "w" + std::to_string(1000 * pair + i) + " ";
      a += word;
      b += i < 5 * pair ? "x" + word : word;
    }
    const double difference = similarity(min_hash(a), min_hash(b)) - jaccard(a, b);
    error += difference / kPairs;
    worst = std::max(worst, std::abs(difference));
  }
  const double standard_error = 0.5 / std::sqrt(double{kMinHashes});
  EXPECT_LT(std::abs(error), 4 * standard_error / std::sqrt(double{kPairs}));
  EXPECT_LT(worst, 4.5 * standard_error);
}

TEST(NearDuplicates, FindsCopiesWithFewChanges) {
  NearDuplicates seen(0.8);
  EXPECT_TRUE(seen.add(kGood));
  EXPECT_FALSE(seen.add(kGood));
  std::string loud(kGood);
  for (char& c : loud) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  EXPECT_FALSE(seen.add(loud + "!"));
  EXPECT_FALSE(seen.add(std::string(kGood) + " The end."));
  EXPECT_TRUE(seen.add("Bees make honey and wax, and they dance to show each other the way."));
}

TEST(NearDuplicates, DifferentStoriesStay) {
  NearDuplicates seen(0.8);
  int64_t stories = 0, kept = 0;
  generate_stories(1, 100000, [&](std::string_view story) {
    ++stories;
    kept += seen.add(story) ? 1 : 0;
  });
  EXPECT_GT(kept, stories * 95 / 100);
}

}  // namespace
}  // namespace adder::data
