// Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909): the `model` of a tokenizer.json.
// A word begins as its characters (or bytes); again and again the neighbours whose merge stands
// first in the list become one, until none is in it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "adder/io/json.h"

namespace adder::text {

class BpeModel {
 public:
  /// With `byte_level`, tokens and words are bytes written in the byte-level alphabet. Throws
  /// kFormat for a malformed vocabulary and for merges out of it, kUnsupported for dropout and for
  /// marks of a word's inside or end.
  BpeModel(const io::JsonView& model, bool byte_level);

  /// Appends the ids of a word (not empty; valid UTF-8 unless byte_level). O(n log n). Throws
  /// kUsage for a character that the vocabulary cannot write.
  void encode(std::string_view word, std::vector<int32_t>& ids) const;

  /// The id of a token by its text in the file.
  std::optional<int32_t> id_of(std::string_view token) const;
  /// Texts of the file by id; ids without one are empty.
  const std::vector<std::string>& tokens() const { return tokens_; }

  /// No merge joins anything with a `mark` (U+2581, say) after it, and `mark` is a token: a word
  /// may be cut before each mark that follows something else.
  bool cuts_before(std::string_view mark) const;

 private:
  struct Merge {
    uint64_t pair = kNoPair;  // left id << 32 | right id
    int32_t rank = 0, id = 0;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using Ids = std::unordered_map<std::string, int32_t, Hash, std::equal_to<>>;
  static constexpr uint64_t kNoPair = ~uint64_t{0};
  static constexpr int32_t kNone = -1;

  void read_vocabulary(const io::JsonView& model);
  void read_merges(const io::JsonView& model);
  void read_options(const io::JsonView& model);
  void set_merge(int32_t left, int32_t right, int32_t rank, int32_t id);
  const Merge* merge_of(int32_t left, int32_t right) const;
  void first_symbols(std::string_view word, std::vector<int32_t>& out) const;
  bool fall_back(std::string_view character, std::vector<int32_t>& out) const;
  void merge_short(std::vector<int32_t>& ids, size_t begin) const;
  void merge_long(std::vector<int32_t>& ids, size_t begin) const;

  std::vector<std::string> tokens_;
  Ids ids_;                    // by text in the file
  Ids words_;                  // by bytes, with byte_level and ignore_merges
  std::vector<Merge> merges_;  // a hash table of open addressing
  size_t mask_ = 0;
  std::array<int32_t, 256> byte_ids_{};       // byte_level: of each byte
  std::array<int32_t, 256> fall_back_ids_{};  // byte_fallback: of <0x00> to <0xFF>
  std::optional<int32_t> unk_;
  bool byte_level_ = false, ignore_merges_ = false, fuse_unk_ = false, byte_fallback_ = false;
};

}  // namespace adder::text
