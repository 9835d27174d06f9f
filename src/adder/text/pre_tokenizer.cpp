#include "adder/text/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include "adder/base/error.h"
#include "adder/text/normalizer.h"

namespace adder::text {
namespace {

struct Span {
  size_t begin, end;
  bool match;
};

/// Matches of `pattern` and what lies between them: all of `text`, in order.
std::vector<Span> spans_of(const Pattern& pattern, std::string_view text, bool invert) {
  std::vector<Span> spans;
  size_t done = 0;
  pattern.for_each_match(text, [&](size_t begin, size_t end) {
    if (begin != done) spans.push_back({done, begin, invert});
    spans.push_back({begin, end, !invert});
    done = end;
  });
  if (done != text.size()) spans.push_back({done, text.size(), invert});
  return spans;
}

/// Each match joins the span before it; of matches in a row only the first does.
std::vector<Span> join_previous(const std::vector<Span>& spans) {
  std::vector<Span> out;
  bool after_match = false;
  for (const Span& span : spans) {
    if (span.match && !after_match && !out.empty()) {
      out.back().end = span.end;
    } else {
      out.push_back(span);
    }
    after_match = span.match;
  }
  return out;
}

std::vector<Span> join_next(std::vector<Span> spans) {
  std::vector<Span> out;
  bool after_match = false;
  for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
    if (span->match && !after_match && !out.empty()) {
      out.back().begin = span->begin;
    } else {
      out.push_back(*span);
    }
    after_match = span->match;
  }
  std::ranges::reverse(out);
  return out;
}

std::vector<Span> join_equal(const std::vector<Span>& spans) {
  std::vector<Span> out;
  for (const Span& span : spans) {
    if (!out.empty() && out.back().match == span.match) {
      out.back().end = span.end;
    } else {
      out.push_back(span);
    }
  }
  return out;
}

}  // namespace

PreTokenizer PreTokenizer::from_json(const io::JsonView& part) {
  PreTokenizer made;
  made.add(part);
  return made;
}

void PreTokenizer::add(const io::JsonView& part) {
  const std::string type = part.at("type").as_string();
  if (byte_level_) throw_unknown_part(part, "ByteLevel must be the last pre-tokenizer");
  if (type == "Sequence") {
    for (const io::JsonView& inner : part.at("pretokenizers").items()) add(inner);
  } else if (type == "ByteLevel") {
    add_byte_level(part);
  } else if (type == "Split") {
    add_split(part);
  } else if (type == "Metaspace") {
    add_metaspace(part);
  } else if (type == "Digits") {
    Stage stage;
    stage.pattern = std::make_shared<Pattern>("\\p{N}", part.name());
    const bool each = part.boolean("individual_digits", false);
    stage.behavior = each ? Behavior::kIsolated : Behavior::kContiguous;
    stages_.push_back(std::move(stage));
  } else {
    throw_unknown_part(part, "a pre-tokenizer of the type " + type);
  }
}

void PreTokenizer::add_byte_level(const io::JsonView& part) {
  byte_level_ = true;
  Stage stage;
  if (part.boolean("add_prefix_space", true)) stage.prefix = " ";
  if (part.boolean("use_regex", true)) stage.scanner = &gpt2_word_end;
  if (!stage.prefix.empty() || stage.scanner != nullptr) stages_.push_back(std::move(stage));
}

void PreTokenizer::add_split(const io::JsonView& part) {
  static constexpr std::pair<const char*, Behavior> kBehaviors[] = {
      {"Removed", Behavior::kRemoved},
      {"Isolated", Behavior::kIsolated},
      {"MergedWithPrevious", Behavior::kWithPrevious},
      {"MergedWithNext", Behavior::kWithNext},
      {"Contiguous", Behavior::kContiguous}};
  Stage stage;
  const std::string name = part.at("behavior").as_string();
  const auto* found = std::ranges::find_if(kBehaviors, [&](auto& b) { return b.first == name; });
  if (found == std::end(kBehaviors)) throw_unknown_part(part.at("behavior"), "it is " + name);
  stage.behavior = found->second;
  stage.invert = part.boolean("invert", false);
  // Known patterns match everything: isolated they cut, inverted and removed too.
  const bool plain = stage.behavior == Behavior::kIsolated ||
                     (stage.behavior == Behavior::kRemoved && stage.invert);
  const auto regex = part.at("pattern").find("Regex");
  const auto scanner = regex && plain ? scanner_of(regex->as_string()) : std::nullopt;
  if (scanner) {
    stage.scanner = *scanner;
  } else {
    stage.pattern = read_pattern(part);
  }
  stages_.push_back(std::move(stage));
}

void PreTokenizer::add_metaspace(const io::JsonView& part) {
  Stage stage;
  stage.for_space = part.string("replacement", "\xE2\x96\x81");
  const std::string scheme =
      part.string("prepend_scheme", part.boolean("add_prefix_space", true) ? "always" : "never");
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    throw_unknown_part(part.at("prepend_scheme"), "it is " + scheme);
  }
  if (scheme != "never") stage.prefix = stage.for_space;
  stage.only_at_start = scheme == "first";
  if (part.boolean("split", true)) {
    stage.pattern = std::make_shared<Pattern>(Pattern::literal(stage.for_space));
    stage.behavior = Behavior::kWithNext;
  }
  stages_.push_back(std::move(stage));
}

bool PreTokenizer::adds_space() const {
  return std::ranges::any_of(stages_, [](const Stage& stage) { return !stage.prefix.empty(); });
}

bool PreTokenizer::only_marks_spaces(std::string_view mark) const {
  return stages_.size() == 1 && stages_[0].for_space == mark;
}

void PreTokenizer::split(std::string_view text, Before before, const Visit& visit) const {
  run(0, text, before, visit);
}

void PreTokenizer::run(size_t index, std::string_view text, Before before,
                       const Visit& visit) const {
  if (text.empty()) return;
  if (index == stages_.size()) return visit(text);
  const Stage& stage = stages_[index];
  std::string changed;
  if (!stage.for_space.empty()) {
    for (const char c : text) {
      if (c == ' ') {
        changed += stage.for_space;
      } else {
        changed += c;
      }
    }
    text = changed;
  }
  const bool wanted =
      before == Before::kNothing || (before == Before::kToken && !stage.only_at_start);
  if (!stage.prefix.empty() && wanted && !text.starts_with(stage.prefix)) {
    changed = stage.prefix + std::string(text);
    text = changed;
  }
  if (index + 1 == stages_.size()) return cut(stage, text, visit);
  cut(stage, text, [&](std::string_view piece) {
    run(index + 1, piece, std::exchange(before, Before::kToken), visit);
  });
}

void PreTokenizer::cut(const Stage& stage, std::string_view text, const Visit& visit) {
  if (stage.scanner != nullptr) {
    for (size_t at = 0; at < text.size();) {
      const size_t end = stage.scanner(text, at);
      visit(text.substr(at, end - at));
      at = end;
    }
    return;
  }
  if (stage.pattern == nullptr) return visit(text);
  std::vector<Span> spans = spans_of(*stage.pattern, text, stage.invert);
  if (stage.behavior == Behavior::kWithPrevious) spans = join_previous(spans);
  if (stage.behavior == Behavior::kWithNext) spans = join_next(std::move(spans));
  if (stage.behavior == Behavior::kContiguous) spans = join_equal(spans);
  for (const Span& span : spans) {
    if (span.begin == span.end || (stage.behavior == Behavior::kRemoved && span.match)) continue;
    visit(text.substr(span.begin, span.end - span.begin));
  }
}

}  // namespace adder::text
