#include "adder/infer/state_file.h"

#include <algorithm>
#include <cstring>

#include "adder/base/error.h"
#include "adder/io/hash.h"
#include "adder/io/safetensors.h"

namespace adder::infer {
namespace {

constexpr const char* kFormatName = "adder-state";
constexpr const char* kVersion = "3";

/// Calls visit(name, layer, index, spec) for every array of the model's state.
template <typename Visit>
void for_each_array(const model::ModelConfig& config, Visit&& visit) {
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    int64_t index = 0;
    for (const model::StateSpec& spec : config.mixer(layer).states(config.place(layer))) {
      visit("layers." + std::to_string(layer) + "." + spec.name, layer, index++, spec);
    }
  }
}

/// The shape of an array after `tokens`: of one that grows, the rows that the spec keeps.
model::Shape shape_after(const model::StateSpec& spec, int64_t tokens) {
  model::Shape shape = spec.shape;
  if (spec.grows) shape[0] = shape[0] > 0 ? std::min(shape[0], tokens) : tokens;
  return shape;
}

/// The part of an array that is saved.
std::span<const float> kept(const State& state, int64_t layer, int64_t index,
                            const model::StateSpec& spec) {
  const model::Shape shape = shape_after(spec, state.tokens);
  const float* data =
      spec.grows ? state.last_rows(layer, index, shape[0]) : state.array(layer, index);
  return {data, static_cast<std::size_t>(model::element_count(shape))};
}

/// Over all that a file says of the text and of the state after it.
std::string content_hash(const SavedState& saved, const model::ModelConfig& config) {
  const State& state = saved.state;
  const auto& occurred = saved.history.occurred_bits();
  const auto& last = saved.history.last();
  io::Hash128 hash;
  hash.add(io::as_bytes(std::to_string(state.tokens) + " " + std::to_string(occurred.size()) + " " +
                        std::to_string(last.size()) + " " + std::to_string(saved.unread.size())));
  hash.add(std::as_bytes(std::span(occurred)));
  hash.add(std::as_bytes(std::span(last)));
  hash.add(std::as_bytes(std::span(saved.unread)));
  for_each_array(config, [&](const std::string& name, int64_t layer, int64_t index,
                             const model::StateSpec& spec) {
    hash.add(io::as_bytes(name));
    hash.add(std::as_bytes(kept(state, layer, index, spec)));
  });
  return hash.hex();
}

bool is_state(const io::SafetensorsFile& file) {
  const auto format = file.metadata().find("format");
  return format != file.metadata().end() && format->second == kFormatName;
}

[[noreturn]] void not_a_state(const std::filesystem::path& file, std::string why) {
  throw Error(ErrorKind::kFormat,
              {.what = "this is not a saved state", .where = file.string(), .why = std::move(why)});
}

void check_metadata(const io::SafetensorsFile& file, const std::string& key,
                    const std::string& want, const char* what, const char* next) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) not_a_state(file.path(), "it has no '" + key + "'");
  if (found->second == want) return;
  throw Error(ErrorKind::kShape, {.what = std::string("this state was saved with another ") + what,
                                  .where = file.path().string(),
                                  .next = next});
}

const io::TensorInfo& tensor(const io::SafetensorsFile& file, const std::string& name,
                             DType dtype) {
  const io::TensorInfo* info = file.find(name);
  if (info == nullptr) not_a_state(file.path(), "'" + name + "' is missing");
  if (info->dtype != dtype) not_a_state(file.path(), "'" + name + "' has the wrong type");
  return *info;
}

int64_t tokens_read(const io::SafetensorsFile& file) {
  const auto found = file.metadata().find("tokens");
  int64_t tokens = -1;
  if (found != file.metadata().end() && found->second.size() < 19 && !found->second.empty() &&
      found->second.find_first_not_of("0123456789") == std::string::npos) {
    tokens = std::stoll(found->second);
  }
  if (tokens < 0) not_a_state(file.path(), "its number of tokens is wrong");
  return tokens;
}

template <typename T>
std::vector<T> read_array(const io::SafetensorsFile& file, const std::string& name, DType dtype) {
  // The file holds as many bytes as the tensor says: nothing larger than the file is allocated.
  std::vector<T> values(static_cast<std::size_t>(tensor(file, name, dtype).elements()));
  file.read(name, std::as_writable_bytes(std::span(values)));
  return values;
}

template <typename T>
io::TensorInfo as_tensor(const char* name, DType dtype, const std::vector<T>& values) {
  return {name, dtype, {static_cast<int64_t>(values.size())}, std::as_bytes(std::span(values))};
}

/// The history and the tokens unread of a file whose state has read `tokens`.
void read_tokens(const io::SafetensorsFile& file, int64_t tokens, int64_t vocab_size,
                 SavedState& saved) {
  auto last = read_array<int32_t>(file, "last", DType::i32);
  auto occurred = read_array<uint8_t>(file, "occurred", DType::u8);
  saved.unread = read_array<int32_t>(file, "unread", DType::i32);
  const auto known = [&](int32_t id) { return id >= 0 && id < vocab_size; };
  if (!std::ranges::all_of(saved.unread, known) || !std::ranges::all_of(last, known) ||
      static_cast<int64_t>(occurred.size()) > (vocab_size + 7) / 8) {
    not_a_state(file.path(), "it holds tokens outside the vocabulary");
  }
  if (static_cast<int64_t>(last.size()) !=
      std::min(tokens, static_cast<int64_t>(TokenHistory::kLast))) {
    not_a_state(file.path(), "its number of tokens is wrong");
  }
  try {
    saved.history = TokenHistory(std::move(occurred), std::move(last));
  } catch (const Error& error) {
    not_a_state(file.path(), error.text().what);
  }
}

}  // namespace

void save_state(const std::filesystem::path& file, const SavedState& saved, const Model& model,
                const std::string& tokenizer_hash) {
  const State& state = saved.state;
  model.check_state(state);
  std::vector<io::TensorInfo> tensors;
  for_each_array(model.config(),
                 [&](std::string name, int64_t layer, int64_t index, const model::StateSpec& spec) {
                   tensors.push_back({std::move(name), DType::f32, shape_after(spec, state.tokens),
                                      std::as_bytes(kept(state, layer, index, spec))});
                 });
  tensors.push_back(as_tensor("occurred", DType::u8, saved.history.occurred_bits()));
  tensors.push_back(as_tensor("last", DType::i32, saved.history.last()));
  tensors.push_back(as_tensor("unread", DType::i32, saved.unread));
  io::write_safetensors(file, std::move(tensors),
                        {{"format", kFormatName},
                         {"version", kVersion},
                         {"tokens", std::to_string(state.tokens)},
                         {"content", content_hash(saved, model.config())},
                         {"model", fingerprint(model.config(), model.weights())},
                         {"tokenizer", tokenizer_hash}});
}

bool is_state_file(const std::filesystem::path& file) {
  try {
    return is_state(io::SafetensorsFile::open(file));
  } catch (const Error&) {
    return false;
  }
}

SavedState load_state(const std::filesystem::path& path, const Model& model,
                      const std::string& tokenizer_hash) {
  const io::SafetensorsFile file = io::SafetensorsFile::open(path);
  if (!is_state(file)) not_a_state(path, "its format is another one");
  constexpr const char* kUseItThere = "use it with the model directory that it was saved with";
  check_metadata(file, "version", kVersion, "version of Adder",
                 "begin a new conversation: remove the file, or name another one");
  check_metadata(file, "model", fingerprint(model.config(), model.weights()), "model", kUseItThere);
  check_metadata(file, "tokenizer", tokenizer_hash, "tokenizer", kUseItThere);

  SavedState saved{model.new_state(), {}, {}};
  const int64_t tokens = tokens_read(file);
  read_tokens(file, tokens, model.vocab_size(), saved);
  for_each_array(model.config(), [&](const std::string& name, int64_t layer, int64_t index,
                                     const model::StateSpec& spec) {
    const model::Shape shape = shape_after(spec, tokens);
    if (tensor(file, name, DType::f32).shape != shape) {
      not_a_state(path, "'" + name + "' has the wrong shape");
    }
    float* data =
        spec.grows ? saved.state.append(layer, index, shape[0]) : saved.state.array(layer, index);
    const auto count = static_cast<std::size_t>(model::element_count(shape));
    file.read(name, std::as_writable_bytes(std::span(data, count)));
  });
  saved.state.tokens = tokens;
  const auto content = file.metadata().find("content");
  if (content == file.metadata().end() || content->second != content_hash(saved, model.config())) {
    not_a_state(path, "its contents are not those that were saved");
  }
  return saved;
}

std::string fingerprint(const model::ModelConfig& config, const model::Weights& weights) {
  constexpr std::size_t kPart = 4096;
  io::Hash128 hash;
  hash.add(io::as_bytes(model::config_to_json(config).dump()));
  for (const auto& [name, tensor] : weights) {
    const auto size =
        static_cast<std::size_t>(model::element_count(tensor.shape) * size_of(tensor.dtype));
    const std::span<const std::byte> bytes(static_cast<const std::byte*>(tensor.data), size);
    hash.add(io::as_bytes(name + " " + std::string(adder::to_string(tensor.dtype)) +
                          model::to_string(tensor.shape)));
    const std::size_t part = std::min(size, kPart);
    for (const std::size_t at : {std::size_t{0}, (size - part) / 2, size - part}) {
      hash.add(bytes.subspan(at, part));
    }
  }
  return hash.hex();
}

}  // namespace adder::infer
