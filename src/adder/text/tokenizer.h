// What turns text into token ids and back. Kinds differ in how they cut text; callers see this
// class only.
//
// A tokenizer is kept in `tokenizer.json`, in the layout of the Hugging Face `tokenizers` library,
// so that the library loads it and gives the same ids; words, which that library has no like of, in
// `word_tokenizer.json`. load_tokenizer() looks at the content, never at the file's name.
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

/// How "<|endoftext|>" in a text is read.
enum class Specials {
  kAsText,  // as the characters it is made of: texts of people and of files
  kParsed,  // as the control token: what a chat template writes
};

/// What stands before a text that is encoded: kinds that put a space before a text (Llama 2) put
/// none between two parts of one.
enum class Before {
  kNothing,  // a text begins
  kToken,    // an added token
  kText,     // the text that this goes on with: exact only where cut_at() cuts; kinds that look
             // back over a border (words) take it for such a place
};

struct EncodeOptions {
  Specials specials = Specials::kAsText;
  Before before = Before::kNothing;
  /// Added tokens whose text stands in one of these are plain text, special or not.
  std::span<const std::string> plain_in = {};
};

/// A character that a vocabulary cannot write, and how often a text has it.
struct Dropped {
  std::string character;  // UTF-8
  int64_t count = 0;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// "byte", "char", "bpe", "word"
  virtual std::string kind() const = 0;

  /// Ids run over [0, vocab_size()). A model may have more rows than that (padding); those ids have
  /// no text.
  virtual int64_t vocab_size() const = 0;

  /// The token that ends a document, if there is one. encode() never gives it.
  virtual std::optional<int32_t> eos_id() const = 0;

  /// The token that goes before a text at the beginning of a session or document, where the
  /// tokenizer's file asks for one. encode() never gives it.
  virtual std::optional<int32_t> bos_id() const { return std::nullopt; }

  /// The token with this text, control tokens included ("<|im_end|>").
  virtual std::optional<int32_t> id_of(std::string_view) const { return std::nullopt; }

  /// Ids of `text`. Everything is taken as plain text: "<eos>" in it is five characters, not a
  /// control token. (Added tokens that are not special are found.) Throws when the text cannot be
  /// written in this vocabulary, naming the character and its byte offset.
  virtual std::vector<int32_t> encode(std::string_view text) const = 0;

  /// The same; with kParsed, control tokens written in the text become ids. Kinds whose files have
  /// no texts for control tokens take all options alike. Safe from several threads.
  virtual std::vector<int32_t> encode(std::string_view text, const EncodeOptions&) const {
    return encode(text);
  }

  /// The characters of `text` that encode() leaves out, by code point. Only kinds that leave
  /// characters out have any; the others throw in encode().
  virtual std::vector<Dropped> dropped(std::string_view) const { return {}; }

  /// The token is an added one: found as a whole, before any other rule.
  virtual bool is_added(int32_t) const { return false; }

  /// The token stands for nothing in a text: what may end an answer. Not so a token that says how
  /// the next one is written.
  virtual bool is_control(int32_t id) const { return token_bytes(id).empty(); }

  /// The bytes that a token stands for; they may be a part of a character. Control tokens give "".
  /// Throws kUsage for an id outside [0, vocab_size()).
  virtual std::string token_bytes(int32_t id) const = 0;

  /// What `id` adds to a text of the tokens `before`: its bytes, and before them the space that
  /// kinds without tokens for spaces put there. What a stream of tokens is read with.
  virtual std::string bytes_after(std::span<const int32_t> /*before*/, int32_t id) const {
    return token_bytes(id);
  }

  /// The bytes of all `ids`, joined. They may end in, or hold, an incomplete UTF-8 sequence: see
  /// StreamDecoder.
  virtual std::string decode(std::span<const int32_t> ids) const;

  /// A position p > 0, at most `limit` >= 1 where there is one, at which text may be cut:
  /// encode(text[:p]) + encode(text[p:], {.before = Before::kText}) == encode(text). text.size()
  /// when none is known. Lets long texts be encoded piece by piece.
  virtual size_t cut_at(std::string_view text, size_t limit) const = 0;

  /// The whole file, the same bytes for equal tokenizers.
  virtual std::string to_json() const = 0;

  /// What the file of such a tokenizer is called in a model's folder.
  virtual std::string file_name() const { return "tokenizer.json"; }

  /// Writes to_json() (atomically).
  void save(const std::filesystem::path& file) const;

  /// 32 hex digits over to_json(): what shards and checkpoints remember.
  std::string hash() const;

 protected:
  /// Throws kUsage unless 0 <= id < vocab_size().
  void check_id(int32_t id) const;
};

/// Ids of `text` at the beginning of a session or document: bos_id() first, where there is one.
std::vector<int32_t> encode_beginning(const Tokenizer& tokenizer, std::string_view text);

/// The first of tokenizer.json, word_tokenizer.json, tokenizer.model and tokenizer.model.v3 in a
/// folder, if any.
std::optional<std::filesystem::path> tokenizer_file(const std::filesystem::path& folder);

/// Reads a tokenizer out of a file (tokenizer.json, word_tokenizer.json, or a SentencePiece model),
/// or out of tokenizer_file() of a folder, whose tokenizer_config.json says then which token ends a
/// text. Errors: kNotFound, kFormat (with the field), kUnsupported for kinds that Adder does not
/// know.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path);

/// The same out of the text of a tokenizer.json or word_tokenizer.json; `name` is what errors call
/// it.
std::unique_ptr<Tokenizer> parse_tokenizer(std::string_view json, const std::string& name);

}  // namespace adder::text
