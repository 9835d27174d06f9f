#include "adder/model/special_tokens.h"

#include <limits>

#include "adder/base/error.h"

namespace adder::model {
namespace {

constexpr const char* kBos = "bos_token_id";
constexpr const char* kEos = "eos_token_id";
constexpr const char* kPad = "pad_token_id";

void add_id(const io::JsonView& value, std::vector<int32_t>& ids) {
  const int64_t id =
      value.as_integer(std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
  if (id >= 0) ids.push_back(static_cast<int32_t>(id));
}

std::vector<int32_t> ids_of(const io::JsonView& root, const char* key) {
  std::vector<int32_t> ids;
  const auto value = root.find(key);
  if (!value) return ids;
  if (value->json().is_array()) {
    for (const io::JsonView& item : value->items()) add_id(item, ids);
  } else {
    add_id(*value, ids);
  }
  return ids;
}

std::optional<int32_t> id_of(const io::JsonView& root, const char* key) {
  const auto ids = ids_of(root, key);
  return ids.empty() ? std::nullopt : std::optional(ids.front());
}

SpecialTokens read(const io::Json& json, const std::string& file) {
  try {
    const io::JsonView root(json, file);
    return {id_of(root, kBos), id_of(root, kPad), ids_of(root, kEos)};
  } catch (const Error& error) {
    throw Error(ErrorKind::kConfig, error.text());
  }
}

io::Json json_of(const std::optional<int32_t>& id) {
  return id ? io::Json(*id) : io::Json(nullptr);
}

}  // namespace

SpecialTokens read_special_tokens(const std::filesystem::path& folder, const io::Json& config) {
  SpecialTokens tokens = read(config, (folder / "config.json").string());
  const std::filesystem::path file = folder / "generation_config.json";
  if (!std::filesystem::exists(file)) return tokens;
  const SpecialTokens first = read(io::read_json_file(file), file.string());
  if (first.bos) tokens.bos = first.bos;
  if (first.pad) tokens.pad = first.pad;
  if (!first.eos.empty()) tokens.eos = first.eos;
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
