// Byte-pair encoding out of a tokenizer.json of the GPT-2, GPT-NeoX, Llama 2 or Llama 3 kind: the
// parts of the file, put together as the Hugging Face `tokenizers` library does. One interpreter
// for all of them.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "adder/text/added_tokens.h"
#include "adder/text/bpe_model.h"
#include "adder/text/normalizer.h"
#include "adder/text/pre_tokenizer.h"
#include "adder/text/token_decoder.h"
#include "adder/text/tokenizer.h"

namespace adder::text {

class BpeTokenizer final : public Tokenizer {
 public:
  /// `root` is the content of the tokenizer.json `source`. Truncation and padding in it are not
  /// taken over. Throws kFormat or kUnsupported, naming the field.
  BpeTokenizer(const io::JsonView& root, std::string source);
  ~BpeTokenizer() override;

  std::string kind() const override { return "bpe"; }
  int64_t vocab_size() const override { return static_cast<int64_t>(offsets_.size()) - 1; }
  std::optional<int32_t> eos_id() const override { return eos_; }
  std::optional<int32_t> bos_id() const override { return bos_; }
  std::optional<int32_t> id_of(std::string_view token) const override;
  std::vector<int32_t> encode(std::string_view text) const override;
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override;
  bool is_added(int32_t id) const override;
  std::string token_bytes(int32_t id) const override;
  /// The joined bytes, less what the file's decoder strips from a text's start.
  std::string decode(std::span<const int32_t> ids) const override;
  size_t cut_at(std::string_view text, size_t limit) const override;
  std::string to_json() const override;

  /// Makes the token with this text the one that ends a text; to_json() remembers it. False, and
  /// nothing happens, when there is none.
  bool set_eos(std::string_view token);

  int64_t merges() const { return merges_; }

 private:
  /// What one call of encode() works with.
  struct Scratch;
  /// Where a text may be cut: nowhere, where the words of a known pattern end, or before the marks
  /// that stand for spaces.
  enum class Cuts { kNever, kKnownPattern, kMarks };

  void read_special_ids(const io::JsonView& root);
  void make_texts();
  Cuts find_cuts() const;
  bool is_cut(std::string_view text, size_t at, Cuts cuts) const;
  std::unique_ptr<Scratch> take_scratch() const;
  void give_scratch(std::unique_ptr<Scratch> scratch) const;
  AddedTokenFinder::IsPlain plain_tokens(const EncodeOptions& options) const;
  void encode_plain(std::string_view text, Before before, const AddedTokenFinder::IsPlain& is_plain,
                    Scratch& scratch, std::vector<int32_t>& ids) const;
  void encode_word(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const;
  void encode_marked(std::string_view word, Scratch& scratch, std::vector<int32_t>& ids) const;

  std::string source_;
  int64_t merges_ = 0;
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  std::optional<BpeModel> model_;
  TokenDecoder decoder_;
  std::vector<AddedToken> added_;
  std::vector<AddedToken> added_normalized_;  // their texts normalised
  AddedTokenFinder in_text_, in_normalized_;
  std::optional<int32_t> eos_, bos_;
  bool cut_words_before_mark_ = false;  // Llama 2: see BpeModel::cuts_before
  Cuts cuts_ = Cuts::kNever;
  std::string bytes_;              // of all tokens
  std::vector<uint64_t> offsets_;  // of each token in bytes_, and the end

  mutable std::mutex scratch_lock_;
  mutable std::vector<std::unique_ptr<Scratch>> scratch_;  // as many as threads were in encode()
};

}  // namespace adder::text
