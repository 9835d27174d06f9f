#include "adder/text/post_processor.h"

#include "adder/text/normalizer.h"

namespace adder::text {
namespace {

std::optional<int32_t> bos_of_template(const io::JsonView& part, int64_t vocab_size) {
  std::optional<int32_t> bos;
  bool after_text = false;
  for (const io::JsonView& item : part.at("single").items()) {
    const auto special = item.find("SpecialToken");
    if (!special) {
      if (item.at("Sequence").at("id").as_string() != "A" || after_text) {
        throw_unknown_part(item, "a template for one text holds it once");
      }
      after_text = true;
      continue;
    }
    if (after_text || bos) throw_unknown_part(item, "more than one token before the text");
    const auto token = part.at("special_tokens").at(special->at("id").as_string());
    const auto ids = token.at("ids").as_integers();
    if (ids.size() != 1) throw_unknown_part(token, "a special token of several ids");
    if (ids[0] < 0 || ids[0] >= vocab_size) token.at("ids").fail("an id of the vocabulary");
    bos = static_cast<int32_t>(ids[0]);
  }
  if (!after_text) part.at("single").fail("a template that holds the text");
  return bos;
}

}  // namespace

std::optional<int32_t> read_bos(const io::JsonView& part, int64_t vocab_size) {
  const std::string type = part.at("type").as_string();
  if (type == "ByteLevel") return std::nullopt;
  if (type == "TemplateProcessing") return bos_of_template(part, vocab_size);
  if (type != "Sequence") throw_unknown_part(part, "a post-processor of the type " + type);
  std::optional<int32_t> bos;
  for (const io::JsonView& inner : part.at("processors").items()) {
    const auto found = read_bos(inner, vocab_size);
    if (found && bos) throw_unknown_part(inner, "more than one token before the text");
    if (found) bos = found;
  }
  return bos;
}

}  // namespace adder::text
