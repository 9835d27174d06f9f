// What turns text into token ids and back. Kinds differ in how they cut text; callers see this
// class only.
//
// A tokenizer is kept in `tokenizer.json`, in the layout of the Hugging Face `tokenizers` library,
// so that the library loads it and gives the same ids. load_tokenizer() looks at the content, never
// at the file's name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace adder::text {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// "byte", "char", ...
  virtual std::string kind() const = 0;

  /// Ids run over [0, vocab_size()). A model may have more rows than that (padding); those ids have
  /// no text.
  virtual int64_t vocab_size() const = 0;

  /// The token that ends a document, if there is one. encode() never gives it.
  virtual std::optional<int32_t> eos_id() const = 0;

  /// Ids of `text`. Everything is taken as plain text: "<eos>" in it is five characters, not a
  /// control token. Throws when the text cannot be written in this vocabulary, naming the character
  /// and its byte offset.
  virtual std::vector<int32_t> encode(std::string_view text) const = 0;

  /// The bytes that a token stands for; they may be a part of a character. Control tokens give "".
  /// Throws kUsage for an id outside [0, vocab_size()).
  virtual std::string token_bytes(int32_t id) const = 0;

  /// The bytes of all `ids`, joined. They may end in, or hold, an incomplete UTF-8 sequence: see
  /// StreamDecoder.
  virtual std::string decode(std::span<const int32_t> ids) const;

  /// A position p > 0, at most `limit` >= 1 where there is one, at which text may be cut:
  /// encode(text[:p]) + encode(text[p:]) == encode(text). text.size() when none is known. Lets long
  /// texts be encoded piece by piece.
  virtual size_t cut_at(std::string_view text, size_t limit) const = 0;

  /// The whole `tokenizer.json`, the same bytes for equal tokenizers.
  virtual std::string to_json() const = 0;

  /// Writes to_json() (atomically).
  void save(const std::filesystem::path& file) const;

  /// 32 hex digits over to_json(): what shards and checkpoints remember.
  std::string hash() const;

 protected:
  /// Throws kUsage unless 0 <= id < vocab_size().
  void check_id(int32_t id) const;
};

/// Reads a tokenizer out of a file, or out of `tokenizer.json` in a folder. Errors: kNotFound,
/// kFormat (with the field), kUnsupported for kinds that Adder does not know.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path);

/// The same out of the file's text; `name` is what errors call it.
std::unique_ptr<Tokenizer> parse_tokenizer(std::string_view json, const std::string& name);

}  // namespace adder::text
