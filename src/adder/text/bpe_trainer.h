// Learns a byte-level BPE vocabulary from text (Sennrich et al. 2016, arXiv:1508.07909, algorithm
// 1; over bytes, as GPT-2): the pair of neighbours that is seen most often becomes a token, again
// and again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adder/text/tokenizer.h"

namespace adder::text {

struct BpeTrainerOptions {
  int64_t vocab_size = 4096;  // counts everything: <|endoftext|>, specials, 256 bytes, merges
  int64_t min_count = 2;      // pairs seen more seldom are not merged
  std::vector<std::string> specials;                          // more control tokens, ids 1, 2, ...
  std::function<void(int64_t done, int64_t total)> progress;  // of train(), in tokens
};

/// The same text gives the same vocabulary and ids as the Hugging Face `tokenizers` library's
/// BpeTrainer with these settings: of pairs seen equally often, the one with the
/// smaller left id goes first, then the smaller right id. Memory
/// grows with the number of distinct words only: about 100 bytes and 30 for each byte of a word.
class BpeTrainer {
 public:
  /// Throws kUsage for a vocab_size outside [257 + specials, 2^24] or a min_count below 1.
  explicit BpeTrainer(BpeTrainerOptions options);
  ~BpeTrainer();

  /// Counts the words of `text`, a document or a piece of one that is cut between characters; the
  /// words at the end of a piece that is not the `last` wait for the next one. What is counted does
  /// not depend on where the pieces are cut (words above 1 MiB aside). Throws kFormat for invalid
  /// UTF-8.
  void add(std::string_view text, bool last = true);

  /// A BpeTokenizer with GPT-2's pattern and <|endoftext|> (id 0) as its eos. Smaller than asked
  /// for when no pair is left.
  std::unique_ptr<Tokenizer> train();

 private:
  struct Counts;
  BpeTrainerOptions options_;
  std::unique_ptr<Counts> counts_;
  std::string rest_;  // of the document, not counted yet
};

}  // namespace adder::text
