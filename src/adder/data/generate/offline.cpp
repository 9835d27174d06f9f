#include "adder/data/generate/offline.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <unordered_set>

#include "adder/base/error.h"
#include "adder/base/rng.h"
#include "adder/data/generate/offline_kinds.h"
#include "adder/data/generate/stories.h"

namespace adder::data {
namespace {

using offline::Document;

constexpr int64_t kMaxRepeated = 10000;  // drawn one after another: the grammar is at its end

Document story_document(uint64_t seed, int64_t index) {
  const std::string story = make_story(seed, index);
  const size_t end = story.find('\n');
  return {story.substr(0, end), story.substr(end + 1)};
}

Document make_document(std::string_view kind, uint64_t seed, int64_t index) {
  if (kind == "stories") return story_document(seed, index);
  Rng rng(seed, stream_of("data.offline") + static_cast<uint64_t>(index));
  if (kind == "words") return offline::make_word(rng);
  if (kind == "topics") return offline::make_topic(rng);
  if (kind == "dates") return offline::make_date(rng);
  return offline::make_chat(rng);
}

/// Whether neither the document (title aside) nor a paragraph in it came before, in others or in
/// itself; then it is remembered.
bool all_new(const Document& document, std::unordered_set<uint64_t>& told) {
  constexpr size_t kParagraph = 120;  // bytes; shorter lines are answers, which may come again
  std::unordered_set<uint64_t> hashes;
  std::istringstream lines(document.body);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() >= kParagraph && !hashes.insert(stream_of(line.c_str())).second) return false;
  }
  hashes.insert(stream_of(document.body.c_str()));
  if (std::ranges::any_of(hashes, [&](uint64_t hash) { return told.contains(hash); })) return false;
  told.insert(hashes.begin(), hashes.end());
  return true;
}

void check_kinds(const std::vector<std::string>& kinds) {
  const auto& known = offline_kinds();
  std::string names;
  for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
  for (const std::string& kind : kinds) {
    if (std::ranges::find(known, kind) != known.end()) continue;
    throw Error(ErrorKind::kUsage,
                {.what = "unknown kind of text \"" + kind + "\"", .next = "known: " + names});
  }
  if (kinds.empty()) throw Error(ErrorKind::kUsage, {.what = "no kind of text was named"});
}

}  // namespace

const std::vector<std::string>& offline_kinds() {
  static const std::vector<std::string> kinds = {"stories", "words", "topics", "dates", "chats"};
  return kinds;
}

int64_t generate_offline(const std::vector<std::string>& kinds, uint64_t seed, int64_t target_bytes,
                         const std::function<void(std::string_view)>& write) {
  check_kinds(kinds);
  Rng which(seed, stream_of("data.offline.kinds"));
  std::unordered_set<uint64_t> told;
  int64_t documents = 0, bytes = 0, repeated = 0;
  for (int64_t index = 0; bytes < target_bytes; ++index) {
    const auto kind = static_cast<size_t>(which.below(static_cast<int64_t>(kinds.size())));
    const Document document = make_document(kinds[kind], seed, index);
    if (!all_new(document, told)) {
      if (++repeated < kMaxRepeated) continue;
      throw Error(ErrorKind::kUsage,
                  {.what = "there is not so much text of these kinds without repeating it",
                   .why = fmt::format("{} bytes were written", bytes),
                   .next = "name more kinds, or ask for fewer bytes"});
    }
    repeated = 0;
    ++documents;
    const std::string title = document.title.empty() ? "" : document.title + "\n";
    const std::string piece = title + document.body + std::string(kStorySeparator);
    write(piece);
    bytes += static_cast<int64_t>(piece.size());
  }
  return documents;
}

int64_t generate_stories(uint64_t seed, int64_t target_bytes,
                         const std::function<void(std::string_view)>& write) {
  return generate_offline({"stories"}, seed, target_bytes, write);
}

}  // namespace adder::data
