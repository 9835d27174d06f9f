#include "adder/train/starting_model.h"

#include "adder/io/file.h"
#include "adder/io/hash.h"
#include "adder/text/word_tokenizer.h"

namespace adder::train {

namespace {

constexpr int64_t kLargest = int64_t{16} << 20;

/// tokenizer.json and word_tokenizer.json are not among them: the task writes the tokenizer that it
/// trained with.
constexpr const char* kCompanions[] = {"tokenizer_config.json", "special_tokens_map.json",
                                       "tokenizer.model",       "tokenizer.model.v3",
                                       "chat_template.json",    "chat_template.jinja"};

std::string hash_of(const model::Weights& weights) {
  io::Hash128 hash;
  for (const auto& [name, tensor] : weights) {
    const std::string head = name + " " + model::to_string(tensor.shape) + "\n";
    hash.add(io::as_bytes(head));
    const auto bytes = model::element_count(tensor.shape) * size_of(tensor.dtype);
    hash.add({static_cast<const std::byte*>(tensor.data), static_cast<size_t>(bytes)});
  }
  return hash.hex();
}

/// Whether every token of `old` is the same one in `tokenizer`.
bool goes_on(const text::Tokenizer& old, const text::Tokenizer& tokenizer) {
  if (old.hash() == tokenizer.hash()) return true;
  const auto* old_words = dynamic_cast<const text::WordTokenizer*>(&old);
  const auto* words = dynamic_cast<const text::WordTokenizer*>(&tokenizer);
  return old_words != nullptr && words != nullptr && words->extends(*old_words);
}

}  // namespace

StartingModel read_starting_model(const model::ModelDirectory& directory,
                                  const text::Tokenizer& tokenizer, bool hashed) {
  StartingModel start;
  start.folder = directory.folder().string();
  if (hashed) start.hash = hash_of(directory.weights());
  if (!text::tokenizer_file(directory.folder())) return start;
  if (!goes_on(*text::load_tokenizer(directory.folder()), tokenizer)) return start;
  start.special_tokens = directory.special_tokens();
  for (const char* name : kCompanions) {
    const std::filesystem::path file = directory.folder() / name;
    if (std::filesystem::exists(file)) start.companions[name] = io::read_file(file, kLargest);
  }
  return start;
}

std::string without_chat_template(const std::string& tokenizer_config, const std::string& name) {
  io::Json json = io::parse_json(tokenizer_config, name);
  if (!json.is_object() || json.erase("chat_template") == 0) return tokenizer_config;
  return json.dump(2) + "\n";
}

}  // namespace adder::train
