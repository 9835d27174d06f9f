#include "adder/text/byte_tokenizer.h"

#include "adder/text/byte_level.h"
#include "adder/text/hf_json.h"

namespace adder::text {

std::vector<int32_t> ByteTokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids(text.size());
  for (size_t i = 0; i < text.size(); ++i) ids[i] = static_cast<unsigned char>(text[i]);
  return ids;
}

std::string ByteTokenizer::token_bytes(int32_t id) const {
  check_id(id);
  return id == kEos ? std::string() : std::string(1, static_cast<char>(id));
}

size_t ByteTokenizer::cut_at(std::string_view text, size_t limit) const {
  return std::min(limit, text.size());
}

std::string ByteTokenizer::to_json() const {
  io::Json vocab = io::Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocab.emplace(byte_level_symbol(static_cast<uint8_t>(byte)), byte);
  }
  vocab.emplace(kEosToken, kEos);
  return hf_byte_level_bpe({{kEosToken, kEos}}, /*use_regex=*/false, std::move(vocab),
                           io::Json::array())
             .dump(2) +
         "\n";
}

}  // namespace adder::text
