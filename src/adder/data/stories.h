// An offline source of text to learn from: short stories and small dialogues out of a grammar over
// curated word lists. Each has one hero, a title, a cause and a consequence, three to eight
// sentences and a small vocabulary, so that a model of a few hundred thousand weights learns to
// write them within minutes.
//
// A story is a title line and, below it, one paragraph line or the lines of a dialogue ("Mia:
// ..."). Each is followed by one blank line (kStorySeparator) and holds none itself. The bytes are
// a function of (seed, target_bytes) alone, on every machine; no body comes twice in one text.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace adder::data {

/// What follows each story: pass it as the corpus separator.
inline constexpr std::string_view kStorySeparator = "\n\n";

/// Story number `index` of `seed`, title line included, without a newline at its end.
std::string make_story(uint64_t seed, int64_t index);

/// Passes stories to `write`, piece by piece, until at least `target_bytes` (>= 1) are written.
/// Returns their number. Memory: 8 bytes for each story, to keep out repeated ones.
int64_t generate_stories(uint64_t seed, int64_t target_bytes,
                         const std::function<void(std::string_view)>& write);

}  // namespace adder::data
