// word_tokenizer.json.
//
//   {"type": "word", "version": 1,
//    "options": {"min_count", "max_vocab", "order", "space", "fold_case"},
//    "vocabulary_hash": 32 hex digits,
//    "control": ["<pad>", "<bos>", "<eos>", "<join>", ...],
//    "blocks": [{"corpus": 32 hex digits, "characters": [...], "words": [...]}, ...]}
//
// Ids are the places in control, then in the characters and words of one block after another.
#include <algorithm>

#include "adder/base/error.h"
#include "adder/text/utf8.h"
#include "adder/text/word_tokenizer.h"

namespace adder::text {
namespace {

constexpr const char* kType = "word";
constexpr int64_t kVersion = 1;
constexpr int64_t kLargest = WordVocabulary::kMaxTokens;

std::string read_choice(const io::JsonView& options, const char* key,
                        std::initializer_list<const char*> choices) {
  const io::JsonView value = options.at(key);
  std::string word = value.as_string();
  if (std::ranges::find(choices, word) == choices.end()) value.fail("one of the known words");
  return word;
}

WordOptions read_options(const io::JsonView& json) {
  WordOptions options;
  options.min_count = json.at("min_count").as_integer(1);
  options.max_vocab = json.at("max_vocab").as_integer(0, kLargest);
  options.order = read_choice(json, "order", {"count", "appearance"});
  options.space = read_choice(json, "space", {"explicit", "implicit"});
  options.fold_case = json.at("fold_case").as_bool();
  return options;
}

std::vector<std::string> read_specials(const io::JsonView& json, const WordOptions& options) {
  auto names = json.as_strings();
  const auto fixed = WordVocabulary::fixed_controls(options);
  if (names.size() < fixed.size() ||
      !std::ranges::equal(fixed, std::span(names).first(fixed.size()))) {
    json.fail("first the control tokens that every such file has");
  }
  names.erase(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(fixed.size()));
  for (const std::string& name : names) {
    if (name.empty() || name.size() > AddedTokenFinder::kMaxLength) {
      json.fail("texts of 1 to 1024 bytes");
    }
  }
  return names;
}

WordBlock read_block(const io::JsonView& json) {
  WordBlock block{.corpus = json.at("corpus").as_string()};
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (block.corpus.size() != 32 || !std::ranges::all_of(block.corpus, is_digit)) {
    json.at("corpus").fail("32 hex digits");
  }
  const io::JsonView characters = json.at("characters");
  for (const std::string& text : characters.as_strings()) {
    const Utf8Step step = text.empty() ? Utf8Step() : read_utf8(text, 0);
    if (!step.valid || static_cast<size_t>(step.length) != text.size()) {
      characters.fail("texts of one character");
    }
    block.characters.push_back(step.value);
  }
  block.words = json.at("words").as_strings();
  return block;
}

}  // namespace

bool WordTokenizer::is_word_json(const io::JsonView& root) {
  const auto type = root.find("type");
  return type && type->json().is_string() && type->as_string() == kType;
}

std::unique_ptr<WordTokenizer> WordTokenizer::from_json(const io::JsonView& root) {
  const int64_t version = root.at("version").as_integer();
  if (version != kVersion) {
    throw Error(ErrorKind::kUnsupported,
                {.what = "a word tokenizer of another version",
                 .where = root.name(),
                 .why = "it has the version " + std::to_string(version) + ", known is " +
                        std::to_string(kVersion),
                 .next = "use the release of Adder that wrote it, or a newer one"});
  }
  const WordOptions options = read_options(root.at("options"));
  auto specials = read_specials(root.at("control"), options);
  std::vector<WordBlock> blocks;
  for (const io::JsonView& block : root.at("blocks").items()) blocks.push_back(read_block(block));
  try {
    WordVocabulary vocabulary(options, std::move(specials), std::move(blocks));
    if (vocabulary.hash() != root.at("vocabulary_hash").as_string()) {
      root.at("vocabulary_hash").fail("the hash of these tokens, \"" + vocabulary.hash() + "\"");
    }
    return std::make_unique<WordTokenizer>(std::move(vocabulary));
  } catch (const Error& error) {
    throw error.within(root.name());
  }
}

std::string WordTokenizer::to_json() const {
  const WordOptions& options = vocabulary_.options();
  io::Json blocks = io::Json::array();
  for (const WordBlock& block : vocabulary_.blocks()) {
    io::Json characters = io::Json::array();
    for (const char32_t value : block.characters) characters.push_back(to_utf8(value));
    blocks.push_back(
        {{"corpus", block.corpus}, {"characters", std::move(characters)}, {"words", block.words}});
  }
  const io::Json root = {{"type", kType},
                         {"version", kVersion},
                         {"options",
                          {{"min_count", options.min_count},
                           {"max_vocab", options.max_vocab},
                           {"order", options.order},
                           {"space", options.space},
                           {"fold_case", options.fold_case}}},
                         {"vocabulary_hash", vocabulary_.hash()},
                         {"control", controls_},
                         {"blocks", std::move(blocks)}};
  return root.dump(2) + "\n";
}

}  // namespace adder::text
