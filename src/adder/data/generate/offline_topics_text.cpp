// Paragraphs about topics, and questions about them.
#include <algorithm>
#include <array>
#include <vector>

#include "adder/data/generate/offline_kinds.h"
#include "adder/data/generate/offline_topics.h"
#include "adder/data/generate/story_grammar.h"

namespace adder::data::offline {
namespace {

using topics::Fact;
using topics::Topic;

const Topic& pick_topic(Rng& rng) {
  const std::array lists = {topics::animals(), topics::nature(), topics::things()};
  return pick(rng, lists[static_cast<size_t>(rng.below(3))]);
}

/// Facts of a topic in an order of chance.
std::vector<const Fact*> pick_facts(Rng& rng, const Topic& topic, size_t count) {
  std::vector<const Fact*> facts;
  for (const Fact& fact : topic.facts) facts.push_back(&fact);
  for (size_t i = 0; i < count; ++i) {
    std::swap(facts[i],
              facts[i + static_cast<size_t>(rng.below(static_cast<int64_t>(facts.size() - i)))]);
  }
  facts.resize(count);
  return facts;
}

std::string definition(const Topic& topic) {
  return std::string(topic.subject) + " " + topic.is + ".";
}

/// The definition and `count` facts. The subject is named again now and then.
std::string paragraph(Rng& rng, const Topic& topic, size_t count) {
  std::string text = definition(topic);
  int since_named = 0;
  for (const Fact* fact : pick_facts(rng, topic, count)) {
    const bool named = since_named >= 2 && chance(rng, 60);
    since_named = named ? 0 : since_named + 1;
    text +=
        std::string(" ") + (named ? topic.subject : topic.pronoun) + " " + fact->predicate + ".";
  }
  return text;
}

Exchange ask_what(const Topic& topic) {
  const bool many = std::string_view(topic.pronoun) == "They";
  return {std::string("What ") + (many ? "are " : "is ") + topic.title + "?", definition(topic)};
}

Exchange ask_fact(Rng& rng, const Topic& topic, const Fact& fact, bool named) {
  return {asked(rng, fact.question),
          std::string(named ? topic.subject : topic.pronoun) + " " + fact.predicate + "."};
}

}  // namespace

Exchange ask_about_topic(Rng& rng) {
  const Topic& topic = pick_topic(rng);
  if (chance(rng, 15)) return ask_what(topic);
  if (chance(rng, 20)) {
    const auto count = static_cast<size_t>(1 + rng.below(3));
    const char* ask[] = {"Tell me about ", "What do you know about ", "Tell me something about "};
    const std::string begin = pick(rng, std::span<const char* const>(ask));
    const char* end = begin.starts_with("What") ? "?" : ".";
    return {begin + topic.title + end, paragraph(rng, topic, count)};
  }
  return ask_fact(rng, topic, pick(rng, std::span<const Fact>(topic.facts)), true);
}

Document make_topic(Rng& rng) {
  const Topic& topic = pick_topic(rng);
  if (chance(rng, 60)) {
    const auto count = static_cast<size_t>(3 + rng.below(4));
    return {as_title(topic.title), paragraph(rng, topic, count)};
  }
  std::string body;
  const auto add = [&](const Exchange& exchange) {
    body += (body.empty() ? "" : "\n") + exchange.first + "\n" + exchange.second;
  };
  if (chance(rng, 40)) add(ask_what(topic));
  const auto count = static_cast<size_t>(2 + rng.below(4));
  for (const Fact* fact : pick_facts(rng, topic, count)) {
    add(ask_fact(rng, topic, *fact, body.empty() || chance(rng, 60)));
  }
  return {"", body};
}

std::string asked(Rng& rng, std::string question) {
  if (!chance(rng, 35)) return question;
  const char* begins[] = {"Tell me, ", "Please tell me, ", "Can you tell me, ", "I wonder, "};
  question.front() = static_cast<char>(question.front() | 0x20);
  return pick(rng, std::span<const char* const>(begins)) + question;
}

std::string capital(std::string text) {
  if (text.front() >= 'a' && text.front() <= 'z')
    text.front() = static_cast<char>(text.front() - 32);
  return text;
}

std::string with_article(const std::string& noun) {
  const bool vowel = std::string_view("aeiou").find(noun.front()) != std::string_view::npos;
  return (vowel ? "an " : "a ") + noun;
}

}  // namespace adder::data::offline
