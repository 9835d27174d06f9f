#include "adder/model/special_tokens.h"

#include <algorithm>
#include <limits>

#include "adder/base/error.h"
#include "adder/model/hf.h"
#include "adder/model/mistral.h"
#include "adder/model/original.h"

namespace adder::model {
namespace {

constexpr const char* kBos = "bos_token_id";
constexpr const char* kEos = "eos_token_id";
constexpr const char* kPad = "pad_token_id";

void add_id(const io::JsonView& value, int64_t vocab_size, std::vector<int32_t>& ids) {
  const int64_t highest = std::min<int64_t>(vocab_size, std::numeric_limits<int32_t>::max()) - 1;
  const int64_t id = value.as_integer(std::numeric_limits<int32_t>::min(), highest);
  if (id >= 0) ids.push_back(static_cast<int32_t>(id));
}

std::vector<int32_t> ids_of(const io::JsonView& root, const char* key, int64_t vocab_size) {
  std::vector<int32_t> ids;
  const auto value = root.find(key);
  if (!value) return ids;
  if (value->json().is_array()) {
    for (const io::JsonView& item : value->items()) add_id(item, vocab_size, ids);
  } else {
    add_id(*value, vocab_size, ids);
  }
  return ids;
}

std::optional<int32_t> id_of(const io::JsonView& root, const char* key, int64_t vocab_size) {
  const auto ids = ids_of(root, key, vocab_size);
  return ids.empty() ? std::nullopt : std::optional(ids.front());
}

SpecialTokens read(const io::Json& json, const std::string& file, int64_t vocab_size) {
  try {
    const io::JsonView root(json, file);
    return {id_of(root, kBos, vocab_size), id_of(root, kPad, vocab_size),
            ids_of(root, kEos, vocab_size)};
  } catch (const Error& error) {
    throw Error(ErrorKind::kConfig, error.text());
  }
}

/// Without the tokens that a small vocabulary does not have.
SpecialTokens within(SpecialTokens tokens, int64_t vocab_size) {
  const auto outside = [&](int32_t id) { return id >= vocab_size; };
  for (auto* id : {&tokens.bos, &tokens.pad}) {
    if (*id && outside(**id)) id->reset();
  }
  std::erase_if(tokens.eos, outside);
  return tokens;
}

io::Json json_of(const std::optional<int32_t>& id) {
  return id ? io::Json(*id) : io::Json(nullptr);
}

}  // namespace

SpecialTokens default_special_tokens(const io::Json& config) {
  constexpr int64_t kNeoxVocab = 50277;
  if (is_mistral(config)) return {.bos = 1, .pad = std::nullopt, .eos = {2}};
  if (is_original(config)) {
    const bool neox = !config.contains("vocab_size") || config.at("vocab_size") == kNeoxVocab;
    return neox ? SpecialTokens{.bos = 0, .pad = 0, .eos = {0}} : SpecialTokens{};
  }
  if (!config.is_object() || !config.contains("model_type")) return {};
  const io::Json& type = config.at("model_type");
  const HfLayout* layout =
      type.is_string() ? find_hf_layout(type.get_ref<const std::string&>()) : nullptr;
  return layout == nullptr ? SpecialTokens{} : layout->special_tokens;
}

SpecialTokens read_special_tokens(const std::filesystem::path& folder, const io::Json& config,
                                  const std::string& file, int64_t vocab_size) {
  SpecialTokens tokens = read(config, file, vocab_size);
  const SpecialTokens unsaid = within(default_special_tokens(config), vocab_size);
  if (!config.contains(kBos)) tokens.bos = unsaid.bos;
  if (!config.contains(kPad)) tokens.pad = unsaid.pad;
  if (!config.contains(kEos)) tokens.eos = unsaid.eos;
  const std::filesystem::path generation = folder / "generation_config.json";
  if (!std::filesystem::exists(generation)) return tokens;
  const io::Json json = io::read_json_file(generation);
  const SpecialTokens first = read(json, generation.string(), vocab_size);
  if (json.contains(kBos)) tokens.bos = first.bos;
  if (json.contains(kPad)) tokens.pad = first.pad;
  if (json.contains(kEos)) tokens.eos = first.eos;
  return tokens;
}

io::Json special_tokens_to_json(const SpecialTokens& tokens) {
  io::Json eos = nullptr;
  if (tokens.eos.size() == 1) eos = tokens.eos.front();
  if (tokens.eos.size() > 1) eos = tokens.eos;
  return {{kBos, json_of(tokens.bos)}, {kEos, eos}, {kPad, json_of(tokens.pad)}};
}

void erase_special_tokens(io::Json& config) {
  for (const char* key : {kBos, kEos, kPad}) config.erase(key);
}

}  // namespace adder::model
