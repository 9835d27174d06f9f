#include "adder/data/shard_manifest.h"

#include <fmt/format.h>

#include <algorithm>

#include "adder/base/error.h"

namespace adder::data {
namespace {

constexpr const char* kFormatName = "adder-token-shards";
constexpr int64_t kMaxTokens = int64_t{1} << 60;

io::Json to_json(const ShardFile& file, const char* unit) {
  return {{"file", file.file}, {unit, file.count}, {"xxh3_128", file.hash}};
}

ShardFile read_file_entry(const io::JsonView& view, const char* unit) {
  ShardFile file;
  file.file = view.at("file").as_string();
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  if (file.file.empty() || file.file.front() == '.' ||
      !std::all_of(file.file.begin(), file.file.end(), plain)) {
    view.at("file").fail("the plain name of a file in the folder");
  }
  file.count = view.at(unit).as_integer(1, kMaxTokens);
  file.hash = view.at("xxh3_128").as_string();
  if (file.hash.size() != 32) view.at("xxh3_128").fail("32 hex digits");
  return file;
}

io::Json to_json(const ShardPart& part) {
  return {{"name", part.name},
          {"held_out", part.held_out},
          {"documents", part.documents},
          {"tokens", part.tokens},
          {"source_bytes", part.source_bytes}};
}

ShardPart read_part(const io::JsonView& view) {
  ShardPart part;
  part.name = view.at("name").as_string();
  part.held_out = view.at("held_out").as_bool();
  part.documents = view.at("documents").as_integer(1, kMaxTokens);
  part.tokens = view.at("tokens").as_integer(part.documents, kMaxTokens);
  part.source_bytes = view.at("source_bytes").as_integer(0);
  return part;
}

/// Throws unless `count` over `list` adds up to `expected`.
template <typename List, typename Member>
void check_sum(const io::JsonView& view, const List& list, Member count, int64_t expected) {
  int64_t sum = 0;
  for (const auto& element : list) {
    if (__builtin_add_overflow(sum, element.*count, &sum)) view.fail("counts that can be added up");
  }
  if (sum != expected) view.fail(fmt::format("counts that add up to {}, not {}", expected, sum));
}

int read_token_bytes(const io::JsonView& dtype) {
  const std::string name = dtype.as_string();
  if (name != "u16" && name != "u32") dtype.fail("\"u16\" or \"u32\"");
  return name == "u16" ? 2 : 4;
}

}  // namespace

io::Json ShardManifest::to_json() const {
  io::Json files = io::Json::array();
  for (const ShardFile& shard : shards) files.push_back(data::to_json(shard, "tokens"));
  io::Json all_parts = io::Json::array();
  for (const ShardPart& part : parts) all_parts.push_back(data::to_json(part));
  return {{"format", kFormatName},
          {"version", kVersion},
          {"dtype", token_bytes == 2 ? "u16" : "u32"},
          {"tokens", tokens},
          {"vocab_size", vocab_size},
          {"eos_id", eos_id ? io::Json(*eos_id) : io::Json(nullptr)},
          {"tokenizer_kind", tokenizer_kind},
          {"tokenizer_hash", tokenizer_hash},
          {"source", source},
          {"notes", notes},
          {"parts", std::move(all_parts)},
          {"documents", data::to_json(documents, "documents")},
          {"answers", answers ? data::to_json(*answers, "spans") : io::Json(nullptr)},
          {"shards", std::move(files)}};
}

ShardManifest ShardManifest::read(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kManifestName;
  const io::Json json = io::read_json_file(path);
  const io::JsonView root(json, path.string());
  if (root.string("format", "") != kFormatName) root.fail("a manifest of token shards");
  const int64_t version = root.at("version").as_positive();
  if (version != kVersion) {
    throw Error(ErrorKind::kUnsupported,
                {.what = "the token shards have a format that this version does not read",
                 .where = path.string(),
                 .why = fmt::format("it is format {}, known is {}", version, kVersion),
                 .next = "encode the text again"});
  }
  ShardManifest manifest;
  manifest.token_bytes = read_token_bytes(root.at("dtype"));
  manifest.tokens = root.at("tokens").as_integer(1, kMaxTokens);
  manifest.vocab_size = root.at("vocab_size").as_integer(1, int64_t{1} << 31);
  if (const auto eos = root.find("eos_id")) {
    manifest.eos_id = static_cast<int32_t>(eos->as_integer(0, manifest.vocab_size - 1));
  }
  manifest.tokenizer_kind = root.at("tokenizer_kind").as_string();
  manifest.tokenizer_hash = root.at("tokenizer_hash").as_string();
  manifest.source = root.string("source", "");
  for (const io::JsonView& note : root.at("notes").items()) {
    manifest.notes.push_back(note.as_string());
  }
  manifest.documents = read_file_entry(root.at("documents"), "documents");
  if (const auto answers = root.find("answers")) {
    manifest.answers = read_file_entry(*answers, "spans");
  }
  for (const io::JsonView& shard : root.at("shards").items()) {
    manifest.shards.push_back(read_file_entry(shard, "tokens"));
  }
  for (const io::JsonView& part : root.at("parts").items()) {
    manifest.parts.push_back(read_part(part));
  }
  check_sum(root.at("shards"), manifest.shards, &ShardFile::count, manifest.tokens);
  check_sum(root.at("parts"), manifest.parts, &ShardPart::tokens, manifest.tokens);
  check_sum(root.at("parts"), manifest.parts, &ShardPart::documents, manifest.documents.count);
  return manifest;
}

}  // namespace adder::data
