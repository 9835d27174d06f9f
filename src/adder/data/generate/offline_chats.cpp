// Conversations: a greeting, questions of every kind with their answers, stories, and a farewell.
#include <array>
#include <string>

#include "adder/data/generate/offline_kinds.h"
#include "adder/data/generate/stories.h"
#include "adder/data/generate/story_words.h"

namespace adder::data::offline {
namespace {

struct Said {
  const char* line;
  const char* answer;
};

constexpr Said kGreetings[] = {{"Hello!", "Hello! What would you like to talk about?"},
                               {"Hello.", "Hello! How can I help you?"},
                               {"Hi!", "Hi! I am glad to see you."},
                               {"Hi there!", "Hi! Ask me something."},
                               {"Good morning!", "Good morning! Did you sleep well?"},
                               {"Good evening!", "Good evening! How was your day?"},
                               {"Good day!", "Good day! What do you want to know?"},
                               {"Hello, Adder!", "Hello! It is good to see you."}};

constexpr Said kSmallTalk[] = {
    {"How are you?", "I am well, thank you. How are you?"},
    {"What is your name?", "My name is Adder."},
    {"Who are you?", "I am Adder, a small language model."},
    {"What are you?", "I am a small program that has learned to write."},
    {"Are you a person?", "No, I am a program. But I like to talk."},
    {"What can you do?", "I can tell stories, explain words and answer simple questions."},
    {"What do you know?", "I know a little about animals, nature, things, words and dates."},
    {"Do you know everything?", "No, I know only a little."},
    {"Are you always right?", "No, I make mistakes, so look things up in a good book."},
    {"How did you learn that?", "I read it many times."},
    {"Can you help me?", "Yes, I will try. Ask me something."},
    {"What shall we do today?", "We could tell a story or talk about animals."},
    {"What do you like?", "I like stories and good questions."},
    {"I am bored.", "Shall I tell you a story?"},
    {"I am sad.", "I am sorry to hear that. Shall I tell you a story?"},
    {"I am happy today.", "That is good! What happened?"},
    {"I like you.", "Thank you! I like to talk with you."},
    {"That is interesting.", "Yes, I think so too."},
    {"I did not know that.", "Now you know it. Ask me more!"},
    {"Really?", "Yes, that is what I have read."},
    {"You are clever.", "Thank you, but there is much that I do not know."}};

constexpr Said kThanks[] = {{"Thank you!", "You are welcome."},
                            {"Thanks!", "You are welcome. Ask me more if you like."},
                            {"Thank you very much.", "I was glad to help."},
                            {"That was good.", "I am glad that you liked it."}};

constexpr Said kFarewells[] = {{"Goodbye!", "Goodbye! Come back soon."},
                               {"Bye!", "Bye! It was good to talk with you."},
                               {"Good night!", "Good night! Sleep well."},
                               {"I have to go now.", "Then goodbye, and come back soon."},
                               {"See you tomorrow!", "See you tomorrow!"}};

constexpr std::array<const char*, 21> kNumbers = {
    "zero",     "one",     "two",     "three",     "four",     "five",     "six",
    "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",   "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"};

/// What a question of the answerer's own leads to.
constexpr Said kReplies[] = {
    {"I am well, thank you. How are you?", "I am well too.\nI am glad to hear that."},
    {"Did you sleep well?", "Yes, thank you.\nThat is good. What do you want to know?"},
    {"How was your day?", "It was a good day.\nI am glad to hear that."},
    {"What happened?",
     "I found my lost {thing}.\nHow good! Where was it?\nIt was {inplace}.\n"
     "Then look after it well."}};

Exchange ask_story(Rng& rng) {
  const StoryWords words = choose_words(rng);
  if (chance(rng, 20)) return {"Tell me a story.", tell_story_about(rng, words)};
  const char* asking[] = {"Tell me a story about {hero}.", "Please tell me a story about {hero}.",
                          "Can you tell me a story about {a kind} named {hero}?",
                          "Do you know a story about {hero}?"};
  const std::string line = fill(pick(rng, std::span<const char* const>(asking)), words);
  return {line, tell_story_about(rng, words)};
}

Exchange ask_sum(Rng& rng) {
  const auto a = static_cast<size_t>(rng.below(11)), b = static_cast<size_t>(rng.below(11));
  if (chance(rng, 60)) {
    const std::string sum = std::string(kNumbers[a]) + " plus " + kNumbers[b];
    return {"What is " + sum + "?", capital(sum) + " is " + kNumbers[a + b] + "."};
  }
  const std::string difference = std::string(kNumbers[a + b]) + " minus " + kNumbers[b];
  return {"What is " + difference + "?", capital(difference) + " is " + kNumbers[a] + "."};
}

Exchange say_something(Rng& rng) {
  const int64_t draw = rng.below(100);
  if (draw < 40) return ask_about_topic(rng);
  if (draw < 60) return ask_about_word(rng);
  if (draw < 70) return ask_about_date(rng);
  if (draw < 78) return ask_story(rng);
  if (draw < 85) return ask_sum(rng);
  const Said& said = pick(rng, std::span<const Said>(kSmallTalk));
  return {said.line, said.answer};
}

}  // namespace

Document make_chat(Rng& rng) {
  std::string body;
  const auto add = [&](const Exchange& exchange) {
    // A question comes once in a conversation.
    if (("\n" + body).find("\n" + exchange.first + "\n") != std::string::npos) return;
    body += (body.empty() ? "" : "\n") + exchange.first + "\n" + exchange.second;
    const StoryWords words = choose_words(rng);
    for (const Said& reply : kReplies) {
      if (exchange.second.ends_with(reply.line)) body += "\n" + fill(reply.answer, words);
    }
    if (exchange.second.ends_with("Shall I tell you a story?")) {
      body += "\nYes, please.\n" + tell_story_about(rng, words);
    }
  };
  const auto say = [&](std::span<const Said> list) {
    const Said& said = pick(rng, list);
    add({said.line, said.answer});
  };
  if (chance(rng, 60)) say(kGreetings);
  const int64_t count = 2 + rng.below(4);
  for (int64_t i = 0; i < count; ++i) add(say_something(rng));
  if (chance(rng, 40)) say(kThanks);
  if (chance(rng, 40)) say(kFarewells);
  return {"", body};
}

}  // namespace adder::data::offline
