// Which kind a tokenizer file is, and the readers of each kind. A new kind is a reader and a line
// in kReaders.
#include <fmt/format.h>

#include <algorithm>

#include "adder/base/error.h"
#include "adder/io/file.h"
#include "adder/io/json.h"
#include "adder/text/bpe_tokenizer.h"
#include "adder/text/byte_level.h"
#include "adder/text/byte_tokenizer.h"
#include "adder/text/char_tokenizer.h"
#include "adder/text/hf_json.h"
#include "adder/text/sentencepiece.h"
#include "adder/text/tokenizer.h"
#include "adder/text/utf8.h"
#include "adder/text/word_tokenizer.h"

namespace adder::text {
namespace {

constexpr const char* kTokenizerFiles[] = {"tokenizer.json", "word_tokenizer.json",
                                           "tokenizer.model", "tokenizer.model.v3"};

using Vocabulary = std::vector<std::pair<std::string, int32_t>>;

std::string part_type(const io::JsonView& root, const char* part) {
  const auto value = root.find(part);
  return value ? value->string("type", "") : "";
}

void sort_by_id(Vocabulary& vocabulary) {
  std::sort(vocabulary.begin(), vocabulary.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
}

/// The only code point of `token`, if it is just one.
std::optional<char32_t> single_character(const std::string& token) {
  if (token.empty()) return std::nullopt;
  const Utf8Step step = read_utf8(token, 0);
  if (!step.valid || static_cast<size_t>(step.length) != token.size()) return std::nullopt;
  return step.value;
}

[[noreturn]] void throw_unsupported(const io::JsonView& root, std::string why) {
  throw Error(
      ErrorKind::kUnsupported,
      {.what = "this kind of tokenizer is not known",
       .where = root.name(),
       .why = std::move(why),
       .next = "Adder reads byte-pair encoding, and its own byte, character and word kinds"});
}

// ---- byte: BPE over the byte-level alphabet, without merges ----

bool is_byte(const io::JsonView& root) {
  const auto model = root.find("model");
  if (!model || model->string("type", "") != "BPE") return false;
  const auto merges = model->find("merges"), vocab = model->find("vocab");
  return merges && merges->json().is_array() && merges->json().empty() && vocab &&
         vocab->json().is_object() && vocab->has(kEosToken);
}

std::unique_ptr<Tokenizer> read_byte(const io::JsonView& root, std::string_view) {
  for (const char* part : {"normalizer", "truncation", "padding"}) require_null(root, part);
  for (const char* part : {"pre_tokenizer", "decoder"}) {
    if (part_type(root, part) != "ByteLevel") root.at(part).fail("ByteLevel");
  }
  if (root.at("pre_tokenizer").boolean("add_prefix_space", true)) {
    throw_unsupported(root.at("pre_tokenizer"), "it puts a space before the text");
  }
  Vocabulary vocabulary = read_vocabulary(root.at("model"));
  sort_by_id(vocabulary);
  if (vocabulary.size() != 257) throw_unsupported(root.at("model"), "it has not 257 tokens");
  for (int32_t id = 0; id < 256; ++id) {
    const auto& [token, token_id] = vocabulary[static_cast<size_t>(id)];
    if (token_id != id || token != byte_level_symbol(static_cast<uint8_t>(id))) {
      throw_unsupported(root.at("model"), fmt::format("id {} is not the byte {}", token_id, id));
    }
  }
  const std::pair<std::string, int32_t> eos(kEosToken, ByteTokenizer::kEos);
  if (vocabulary.back() != eos || read_control_tokens(root) != ControlTokens{eos}) {
    throw_unsupported(root, "its one control token must be <eos> with id 256");
  }
  return std::make_unique<ByteTokenizer>();
}

// ---- char: WordLevel over single characters ----

bool is_char(const io::JsonView& root) {
  if (part_type(root, "model") != "WordLevel" || part_type(root, "pre_tokenizer") != "Split") {
    return false;
  }
  const auto pattern = root.at("pre_tokenizer").find("pattern");
  return pattern && pattern->string("Regex", "") == kEveryCharacter;
}

std::unique_ptr<Tokenizer> read_char(const io::JsonView& root, std::string_view) {
  for (const char* part : {"normalizer", "post_processor", "truncation", "padding"}) {
    require_null(root, part);
  }
  if (part_type(root, "decoder") != "Fuse") root.at("decoder").fail("Fuse");
  const io::JsonView split = root.at("pre_tokenizer");
  if (split.string("behavior", "") != "Isolated" || split.boolean("invert", false)) {
    throw_unsupported(split, "every character must be kept as a token of its own");
  }
  const ControlTokens control = read_control_tokens(root);
  CharVocabulary vocabulary;
  const auto has = [&](const char* token) {
    return std::any_of(control.begin(), control.end(),
                       [&](const auto& c) { return c.first == token; });
  };
  vocabulary.eos = has(kEosToken);
  vocabulary.unk = has(kUnkToken);

  const io::JsonView model = root.at("model");
  Vocabulary tokens = read_vocabulary(model);
  sort_by_id(tokens);
  if (tokens.size() < control.size()) model.at("vocab").fail("the control tokens among its texts");
  const size_t characters = tokens.size() - control.size();
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto& [token, id] = tokens[i];
    if (static_cast<size_t>(id) != i) model.at("vocab").fail("ids from 0 on without a gap");
    if (i >= characters) continue;
    const auto value = single_character(token);
    if (!value) throw_unsupported(model, fmt::format("\"{}\" is not a single character", token));
    vocabulary.characters.push_back(*value);
  }
  ControlTokens expected;
  auto next = static_cast<int32_t>(characters);
  if (vocabulary.eos) expected.emplace_back(kEosToken, next++);
  if (vocabulary.unk) expected.emplace_back(kUnkToken, next++);
  if (control != expected ||
      !std::equal(expected.begin(), expected.end(),
                  tokens.begin() + static_cast<std::ptrdiff_t>(characters), tokens.end())) {
    throw_unsupported(root, "its control tokens must be <eos> and <unk>, after the characters");
  }
  return std::make_unique<CharTokenizer>(std::move(vocabulary));
}

// ---- bpe ----

bool is_bpe(const io::JsonView& root) {
  const auto model = root.find("model");
  if (!model) return false;
  // Files of early versions name no type.
  return model->string("type", model->has("merges") ? "BPE" : "") == "BPE";
}

std::unique_ptr<Tokenizer> read_bpe(const io::JsonView& root, std::string_view source) {
  return std::make_unique<BpeTokenizer>(root, std::string(source));
}

// ---- word ----

std::unique_ptr<Tokenizer> read_word(const io::JsonView& root, std::string_view) {
  return WordTokenizer::from_json(root);
}

// ---- all kinds ----

struct Reader {
  bool (*recognises)(const io::JsonView& root);
  std::unique_ptr<Tokenizer> (*read)(const io::JsonView& root, std::string_view source);
};

constexpr Reader kReaders[] = {{WordTokenizer::is_word_json, read_word},
                               {is_byte, read_byte},
                               {is_char, read_char},
                               {is_bpe, read_bpe}};

/// Which token ends a text, as a tokenizer_config.json beside the tokenizer says.
void take_config(const std::filesystem::path& file, Tokenizer& tokenizer) {
  auto* bpe = dynamic_cast<BpeTokenizer*>(&tokenizer);
  if (bpe == nullptr || !std::filesystem::exists(file)) return;
  const io::Json value = io::read_json_file(file);
  const io::JsonView root(value, file.string());
  auto eos = root.find("eos_token");
  if (eos && eos->json().is_object()) eos = eos->at("content");
  if (eos && !bpe->set_eos(eos->as_string())) eos->fail("a token of the tokenizer");
}

std::filesystem::path file_in(const std::filesystem::path& folder) {
  if (auto file = tokenizer_file(folder)) return *file;
  throw Error(ErrorKind::kNotFound,
              {.what = "the folder holds no tokenizer",
               .where = folder.string(),
               .why = "there is no tokenizer.json, word_tokenizer.json or tokenizer.model in it"});
}

}  // namespace

std::unique_ptr<Tokenizer> parse_tokenizer(std::string_view json, const std::string& name) {
  const io::Json value = io::parse_json(json, name, kTokenizerFileLimits);
  const io::JsonView root(value, name);
  if (!value.is_object()) root.fail("an object, as in a tokenizer.json");
  for (const Reader& reader : kReaders) {
    if (reader.recognises(root)) return reader.read(root, json);
  }
  const std::string type = root.at("model").string("type", "of no named type");
  throw_unsupported(root, fmt::format("its model is {}", type));
}

std::optional<std::filesystem::path> tokenizer_file(const std::filesystem::path& folder) {
  for (const char* name : kTokenizerFiles) {
    std::error_code ignored;
    if (std::filesystem::exists(folder / name, ignored)) return folder / name;
  }
  return std::nullopt;
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path) {
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(path, ignored);
  const std::filesystem::path file = folder ? file_in(path) : path;
  std::string content = io::read_file(file, kTokenizerFileLimits.max_bytes);
  if (is_sentencepiece(content)) content = sentencepiece_to_json(content, file.string());
  auto tokenizer = parse_tokenizer(content, file.string());
  if (folder) take_config(path / "tokenizer_config.json", *tokenizer);
  return tokenizer;
}

}  // namespace adder::text
