#include "adder/data/generate/near_duplicates.h"

#include <algorithm>
#include <limits>

#include "adder/data/generate/text_filters.h"

namespace adder::data {
namespace {

uint64_t mix(uint64_t value) {  // SplitMix64's finaliser
  value += 0x9E3779B97F4A7C15ull;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ull;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBull;
  return value ^ (value >> 31);
}

uint64_t hash_of(std::string_view word) {
  uint64_t hash = 14695981039346656037ull;
  for (const char c : word) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

}  // namespace

MinHash min_hash(std::string_view text) {
  MinHash least;
  least.fill(std::numeric_limits<uint32_t>::max());
  const std::vector<std::string> words = plain_words(text);
  constexpr size_t kRun = 3;
  for (size_t i = 0; i == 0 || i + kRun <= words.size(); ++i) {
    uint64_t run = 0;
    for (size_t j = i; j < std::min(i + kRun, words.size()); ++j)
      run = mix(run ^ hash_of(words[j]));
    for (size_t k = 0; k < kMinHashes; ++k) {
      least[k] = std::min(least[k], static_cast<uint32_t>(mix(run + k * 0xD6E8FEB86659FD93ull)));
    }
  }
  return least;
}

double similarity(const MinHash& a, const MinHash& b) {
  int equal = 0;
  for (size_t k = 0; k < kMinHashes; ++k) equal += a[k] == b[k] ? 1 : 0;
  return static_cast<double>(equal) / kMinHashes;
}

bool NearDuplicates::add(std::string_view text) {
  const MinHash hashes = min_hash(text);
  std::array<uint64_t, kBands> keys{};
  for (size_t band = 0; band < kBands; ++band) {
    for (size_t row = 0; row < kRows; ++row) {
      keys[band] = mix(keys[band] ^ hashes[band * kRows + row]);
    }
    const auto found = tables_[band].find(keys[band]);
    if (found == tables_[band].end()) continue;
    for (const uint32_t other : found->second) {
      if (similarity(hashes, kept_[other]) >= threshold_) return false;
    }
  }
  const auto number = static_cast<uint32_t>(kept_.size());
  kept_.push_back(hashes);
  for (size_t band = 0; band < kBands; ++band) tables_[band][keys[band]].push_back(number);
  return true;
}

}  // namespace adder::data
