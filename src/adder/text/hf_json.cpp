#include "adder/text/hf_json.h"

#include <fmt/format.h>

#include <unordered_set>

#include "adder/base/error.h"
#include "adder/text/added_tokens.h"

namespace adder::text {

io::Json hf_added_token(const std::string& content, int32_t id) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

io::Json hf_frame(const ControlTokens& control_tokens) {
  io::Json added = io::Json::array();
  for (const auto& [content, id] : control_tokens) added.push_back(hf_added_token(content, id));
  return {{"version", "1.0"},          {"truncation", nullptr}, {"padding", nullptr},
          {"added_tokens", added},     {"normalizer", nullptr}, {"pre_tokenizer", nullptr},
          {"post_processor", nullptr}, {"decoder", nullptr},    {"model", nullptr}};
}

io::Json hf_bpe_model(io::Json vocab, io::Json merges) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", std::move(vocab)},
          {"merges", std::move(merges)}};
}

io::Json hf_byte_level_bpe(const ControlTokens& control_tokens, bool use_regex, io::Json vocab,
                           io::Json merges) {
  io::Json root = hf_frame(control_tokens);
  for (const char* part : {"pre_tokenizer", "decoder"}) {
    root[part] = {{"type", "ByteLevel"},
                  {"add_prefix_space", false},
                  {"trim_offsets", true},
                  {"use_regex", use_regex}};
  }
  root["model"] = hf_bpe_model(std::move(vocab), std::move(merges));
  return root;
}

ControlTokens read_control_tokens(const io::JsonView& root) {
  ControlTokens tokens;
  for (AddedToken& token : read_added_tokens(root)) {
    const char* why = token.single_word || token.lstrip || token.rstrip || token.normalized
                          ? "it is looked for in ways of its own"
                      : !token.special ? "it is not special"
                                       : nullptr;
    if (why != nullptr) {
      throw Error(ErrorKind::kUnsupported,
                  {.what = fmt::format("the added token \"{}\" is none for this kind of tokenizer",
                                       token.content),
                   .where = root.at("added_tokens").name(),
                   .why = why});
    }
    tokens.emplace_back(std::move(token.content), token.id);
  }
  return tokens;
}

void require_null(const io::JsonView& root, const char* key) {
  const auto part = root.find(key);
  if (!part) return;
  throw Error(ErrorKind::kUnsupported,
              {.what = "the tokenizer has a part that this kind does not take",
               .where = part->name(),
               .why = "it must be null"});
}

std::vector<std::pair<std::string, int32_t>> read_vocabulary(const io::JsonView& model) {
  const io::JsonView vocab = model.at("vocab");
  if (!vocab.json().is_object()) vocab.fail("an object of token texts and ids");
  std::vector<std::pair<std::string, int32_t>> pairs;
  std::unordered_set<int32_t> ids;
  for (const auto& [token, value] : vocab.json().items()) {
    const bool whole = value.is_number_integer() && value.is_number_unsigned();
    const uint64_t id = whole ? value.get<uint64_t>() : UINT64_MAX;
    if (id > INT32_MAX || !ids.insert(static_cast<int32_t>(id)).second) {
      vocab.fail(fmt::format("ids from 0 to 2147483647, each once (token \"{}\")", token));
    }
    pairs.emplace_back(token, static_cast<int32_t>(id));
  }
  return pairs;
}

}  // namespace adder::text
