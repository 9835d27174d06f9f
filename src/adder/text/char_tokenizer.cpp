#include "adder/text/char_tokenizer.h"

#include <fmt/format.h>

#include "adder/base/error.h"
#include "adder/text/hf_json.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

[[noreturn]] void throw_unknown(char32_t value, size_t offset) {
  throw Error(ErrorKind::kUsage,
              {.what = fmt::format("the tokenizer does not know the character {}", name_of(value)),
               .where = fmt::format("byte {} of the text", offset),
               .why = "a character tokenizer knows the characters of the text it was made from",
               .next = "remove the character, make the tokenizer from text that holds it, or use "
                       "the byte tokenizer, which knows everything"});
}

}  // namespace

CharTokenizer::CharTokenizer(CharVocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {
  if (vocabulary_.characters.empty()) {
    throw Error(ErrorKind::kFormat, {.what = "a character tokenizer needs at least one character"});
  }
  ids_.reserve(vocabulary_.characters.size());
  for (const char32_t value : vocabulary_.characters) {
    if (!ids_.emplace(value, static_cast<int32_t>(ids_.size())).second) {
      throw Error(ErrorKind::kFormat,
                  {.what = "a character stands twice in the vocabulary", .where = name_of(value)});
    }
  }
}

CharTokenizer CharTokenizer::train(std::string_view text, bool eos, bool unk) {
  std::set<char32_t> characters;
  collect_characters(text, characters);
  return CharTokenizer({{characters.begin(), characters.end()}, eos, unk});
}

int64_t CharTokenizer::vocab_size() const {
  return static_cast<int64_t>(vocabulary_.characters.size()) + vocabulary_.eos + vocabulary_.unk;
}

std::optional<int32_t> CharTokenizer::eos_id() const {
  if (!vocabulary_.eos) return std::nullopt;
  return static_cast<int32_t>(vocabulary_.characters.size());
}

std::optional<int32_t> CharTokenizer::unk_id() const {
  if (!vocabulary_.unk) return std::nullopt;
  return static_cast<int32_t>(vocab_size() - 1);
}

std::vector<int32_t> CharTokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size());
  const std::optional<int32_t> unk = unk_id();
  for_each_code_point(text, [&](char32_t value, size_t offset) {
    const auto found = ids_.find(value);
    if (found == ids_.end() && !unk) throw_unknown(value, offset);
    ids.push_back(found == ids_.end() ? *unk : found->second);
  });
  return ids;
}

std::string CharTokenizer::token_bytes(int32_t id) const {
  check_id(id);
  const auto index = static_cast<size_t>(id);
  return index < vocabulary_.characters.size() ? to_utf8(vocabulary_.characters[index]) : "";
}

size_t CharTokenizer::cut_at(std::string_view text, size_t limit) const {
  return code_point_boundary(text, limit);
}

std::string CharTokenizer::to_json() const {
  ControlTokens control;
  if (const auto eos = eos_id()) control.emplace_back(kEosToken, *eos);
  if (const auto unk = unk_id()) control.emplace_back(kUnkToken, *unk);
  io::Json root = hf_frame(control);
  root["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"Regex", kEveryCharacter}}},
                           {"behavior", "Isolated"},
                           {"invert", false}};
  root["decoder"] = {{"type", "Fuse"}};
  io::Json vocab = io::Json::object();
  auto& pairs = vocab.get_ref<io::Json::object_t&>();  // appended as they are: all are distinct
  pairs.reserve(static_cast<size_t>(vocab_size()));
  int32_t id = 0;
  for (const char32_t value : vocabulary_.characters) {
    pairs.push_back({to_utf8(value), io::Json(id++)});
  }
  for (const auto& [token, control_id] : control) pairs.push_back({token, io::Json(control_id)});
  root["model"] = {{"type", "WordLevel"}, {"vocab", std::move(vocab)}, {"unk_token", kUnkToken}};
  return root.dump(2) + "\n";
}

void collect_characters(std::string_view text, std::set<char32_t>& characters) {
  std::vector<bool> seen(0x110000);
  for_each_code_point(text, [&](char32_t value, size_t) { seen[value] = true; });
  for (size_t value = 0; value < seen.size(); ++value) {
    if (seen[value]) characters.insert(characters.end(), static_cast<char32_t>(value));
  }
}

}  // namespace adder::text
