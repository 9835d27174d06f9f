#include "adder/text/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "adder/base/error.h"
#include "adder/text/hf_json.h"
#include "adder/text/unicode.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

char32_t last_character(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return read_utf8(text, at).value;
}

bool ends_with_word(std::string_view text) {
  return !text.empty() && is_word_character(last_character(text));
}

bool begins_with_word(std::string_view text) {
  return !text.empty() && is_word_character(read_utf8(text, 0).value);
}

size_t space_before(std::string_view text) {
  size_t at = text.size();
  while (at > 0 && class_of(last_character(text.substr(0, at))) == CharClass::kSpace) {
    do --at;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  }
  return at;
}

size_t space_after(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Step step = read_utf8(text, at);
    if (class_of(step.value) != CharClass::kSpace) break;
    at += static_cast<size_t>(step.length);
  }
  return at;
}

size_t key_of(char first, char second) {
  return static_cast<size_t>(static_cast<unsigned char>(first)) << 8 |
         static_cast<unsigned char>(second);
}

}  // namespace

std::vector<AddedToken> read_added_tokens(const io::JsonView& root) {
  std::vector<AddedToken> tokens;
  const auto added = root.find("added_tokens");
  if (!added) return tokens;
  std::unordered_set<std::string> contents;
  std::unordered_set<int32_t> ids;
  bool ended = false;
  for (const io::JsonView& entry : added->items()) {
    AddedToken token;
    token.id = static_cast<int32_t>(entry.at("id").as_integer(0, INT32_MAX));
    token.content = entry.at("content").as_string();
    if (!contents.insert(token.content).second) entry.at("content").fail("a text not yet listed");
    if (!ids.insert(token.id).second) entry.at("id").fail("an id not yet listed");
    if (token.content.size() > AddedTokenFinder::kMaxLength) {
      throw Error(ErrorKind::kUnsupported,
                  {.what = "an added token is too long",
                   .where = entry.name(),
                   .why = fmt::format("it has {} bytes, the limit is {}", token.content.size(),
                                      AddedTokenFinder::kMaxLength)});
    }
    token.special = entry.boolean("special", false);
    token.normalized = entry.boolean("normalized", !token.special);
    token.single_word = entry.boolean("single_word", false);
    token.lstrip = entry.boolean("lstrip", false);
    token.rstrip = entry.boolean("rstrip", false);
    token.ends_text = entry.boolean(kEosRole, false);
    if (token.ends_text && std::exchange(ended, true)) {
      entry.at(kEosRole).fail("one token that ends a text");
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

AddedTokenFinder::AddedTokenFinder(std::vector<const AddedToken*> tokens)
    : tokens_(std::move(tokens)), nodes_(1), begins_(size_t{1} << 16) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& content = tokens_[i]->content;
    if (content.empty()) continue;
    int32_t node = 0;
    for (const char byte : content) {
      int32_t next = child(node, byte);
      if (next < 0) {
        next = static_cast<int32_t>(nodes_.size());
        nodes_.push_back(
            {.next_sibling = nodes_[static_cast<size_t>(node)].first_child, .byte = byte});
        nodes_[static_cast<size_t>(node)].first_child = next;
      }
      node = next;
    }
    nodes_[static_cast<size_t>(node)].token = static_cast<int32_t>(i);
    for (int second = 0; second < 256; ++second) {
      const auto byte = static_cast<char>(second);
      if (content.size() == 1 || content[1] == byte) begins_[key_of(content[0], byte)] = true;
    }
  }
}

int32_t AddedTokenFinder::child(int32_t node, char byte) const {
  int32_t at = nodes_[static_cast<size_t>(node)].first_child;
  while (at >= 0 && nodes_[static_cast<size_t>(at)].byte != byte) {
    at = nodes_[static_cast<size_t>(at)].next_sibling;
  }
  return at;
}

const AddedToken* AddedTokenFinder::match(std::string_view text, size_t at) const {
  const char second = at + 1 < text.size() ? text[at + 1] : '\0';
  if (!begins_[key_of(text[at], second)]) return nullptr;
  int32_t node = 0, found = -1;
  for (; at < text.size(); ++at) {
    node = child(node, text[at]);
    if (node < 0) break;
    if (nodes_[static_cast<size_t>(node)].token >= 0)
      found = nodes_[static_cast<size_t>(node)].token;
  }
  return found < 0 ? nullptr : tokens_[static_cast<size_t>(found)];
}

void AddedTokenFinder::split(std::string_view text, const IsPlain& is_plain,
                             const Visit& visit) const {
  size_t done = 0;
  for (size_t at = 0; !empty() && at < text.size();) {
    const AddedToken* token = match(text, at);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + token->content.size();
    at = end;
    if (is_plain(*token)) continue;
    if (token->single_word &&
        (ends_with_word(text.substr(0, begin)) || begins_with_word(text.substr(end)))) {
      continue;
    }
    if (token->lstrip && begin > done) begin = done + space_before(text.substr(done, begin - done));
    if (token->rstrip) end = end < done ? done : end + space_after(text.substr(end));
    if (done < begin) visit(text.substr(done, begin - done), std::nullopt);
    visit(text.substr(begin, end - begin), token->id);
    done = end;
  }
  if (done < text.size()) visit(text.substr(done), std::nullopt);
}

}  // namespace adder::text
