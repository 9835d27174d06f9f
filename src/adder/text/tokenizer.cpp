#include "adder/text/tokenizer.h"

#include <fmt/format.h>

#include "adder/base/error.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"
#include "adder/text/word_tokenizer.h"

namespace adder::text {

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string out;
  for (const int32_t id : ids) out += token_bytes(id);
  return out;
}

void Tokenizer::save(const std::filesystem::path& file) const {
  io::write_file_atomic(file, to_json());
}

std::string Tokenizer::hash() const {
  const std::string json = to_json();
  return io::hash128_hex(io::as_bytes(json));
}

std::vector<int32_t> encode_beginning(const Tokenizer& tokenizer, std::string_view text) {
  // Words bring the space before them: one that ends the text comes with the word that follows.
  const bool words = dynamic_cast<const WordTokenizer*>(&tokenizer) != nullptr;
  if (words && text.ends_with(' ') && !text.ends_with("  ")) text.remove_suffix(1);
  std::vector<int32_t> ids = tokenizer.encode(text);
  if (const auto bos = tokenizer.bos_id()) ids.insert(ids.begin(), *bos);
  return ids;
}

void Tokenizer::check_id(int32_t id) const {
  if (id >= 0 && id < vocab_size()) return;
  throw Error(ErrorKind::kUsage,
              {.what = fmt::format("token id {} has no text", id),
               .why = fmt::format("the {} tokenizer has ids 0 to {}", kind(), vocab_size() - 1),
               .next = "use the tokenizer.json that belongs to the model"});
}

}  // namespace adder::text
