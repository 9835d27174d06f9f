#include "adder/text/sentencepiece.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "adder/base/error.h"
#include "adder/io/json.h"
#include "adder/text/hf_json.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

constexpr size_t kMaxPiece = 256;  // bytes; each is looked at by every cut in two
constexpr int64_t kMaxFile = int64_t{64} << 20;

[[noreturn]] void fail(const std::string& name, std::string why) {
  throw Error(ErrorKind::kFormat,
              {.what = "malformed SentencePiece model", .where = name, .why = std::move(why)});
}
[[noreturn]] void refuse_model(const std::string& name, std::string why) {
  throw Error(ErrorKind::kUnsupported,
              {.what = "this kind of SentencePiece model is not known",
               .where = name,
               .why = std::move(why),
               .next = "Adder reads byte-pair encoding as Llama 2 has it; a tokenizer.json of the "
                       "same model may do"});
}

// ---- protocol buffers: fields of a message, one after the other ----

struct Field {
  uint32_t number = 0, type = 0;  // 0 varint, 1 eight bytes, 2 bytes with a length, 5 four bytes
  uint64_t value = 0;
  std::string_view bytes;
};

class Message {
 public:
  Message(std::string_view bytes, const std::string& name) : rest_(bytes), name_(name) {}

  std::optional<Field> next() {
    if (rest_.empty()) return std::nullopt;
    const uint64_t tag = varint();
    Field field;
    field.type = static_cast<uint32_t>(tag & 7);
    if (tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF) fail(name_, "a field without a valid number");
    field.number = static_cast<uint32_t>(tag >> 3);
    switch (field.type) {
      case 0:
        field.value = varint();
        return field;
      case 1:
        field.bytes = take(8);
        return field;
      case 2:
        field.bytes = take(varint());
        return field;
      case 5:
        field.bytes = take(4);
        return field;
      default:
        fail(name_, fmt::format("a field of the wire type {}", field.type));
    }
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      if (shift == 63 && byte > 1) break;
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    fail(name_, "a number of more than 64 bits");
  }
  std::string_view take(uint64_t size) {
    if (size > rest_.size()) fail(name_, "it ends in the middle of a field");
    const auto taken = rest_.substr(0, static_cast<size_t>(size));
    rest_.remove_prefix(static_cast<size_t>(size));
    return taken;
  }

  std::string_view rest_;
  const std::string& name_;
};

// ---- the model, by the field numbers of sentencepiece_model.proto ----

enum class PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUser = 4, kUnused = 5, kByte = 6 };

struct Piece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::kNormal;
};

struct Model {
  std::vector<Piece> pieces;
  uint64_t kind = 1;  // 1 unigram, 2 BPE, 3 word, 4 character
  bool byte_fallback = false, suffix_mark = false;
  bool dummy_prefix = true, extra_spaces_removed = true, spaces_escaped = true;
  bool rules = false;
};

void need_type(const Field& field, uint32_t type, const std::string& name) {
  if (field.type != type) {
    fail(name, fmt::format("field {} has the wire type {}", field.number, field.type));
  }
}

Piece read_piece(std::string_view bytes, const std::string& name) {
  Piece piece;
  Message message(bytes, name);
  while (const auto field = message.next()) {
    if (field->number == 1) {
      need_type(*field, 2, name);
      piece.text = field->bytes;
    } else if (field->number == 2) {
      need_type(*field, 5, name);
      uint32_t bits;
      std::memcpy(&bits, field->bytes.data(), sizeof bits);
      piece.score = std::bit_cast<float>(bits);
    } else if (field->number == 3) {
      need_type(*field, 0, name);
      if (field->value < 1 || field->value > 6) fail(name, "a piece of an unknown type");
      piece.type = static_cast<PieceType>(field->value);
    }
  }
  if (piece.text.empty() || !is_valid_utf8(piece.text)) fail(name, "a piece that is no text");
  if (piece.text.size() > kMaxPiece) {
    refuse_model(name,
                 fmt::format("a piece of {} bytes, the limit is {}", piece.text.size(), kMaxPiece));
  }
  if (!std::isfinite(piece.score)) fail(name, "a score that is no number");
  return piece;
}

void read_trainer(std::string_view bytes, Model& model, const std::string& name) {
  Message message(bytes, name);
  while (const auto field = message.next()) {
    const bool flag = field->value != 0;
    if (field->number == 3 || field->number == 24 || field->number == 35) {
      need_type(*field, 0, name);
    }
    if (field->number == 3) model.kind = field->value;
    if (field->number == 24) model.suffix_mark = flag;
    if (field->number == 35) model.byte_fallback = flag;
  }
}

void read_normalizer(std::string_view bytes, Model& model, const std::string& name) {
  Message message(bytes, name);
  while (const auto field = message.next()) {
    const bool flag = field->value != 0;
    if (field->number >= 3 && field->number <= 5) need_type(*field, 0, name);
    if (field->number == 2) model.rules = model.rules || !field->bytes.empty();
    if (field->number == 3) model.dummy_prefix = flag;
    if (field->number == 4) model.extra_spaces_removed = flag;
    if (field->number == 5) model.spaces_escaped = flag;
  }
}

Model read_model(std::string_view content, const std::string& name) {
  if (static_cast<int64_t>(content.size()) > kMaxFile) fail(name, "it is larger than 64 MB");
  Model model;
  Message message(content, name);
  while (const auto field = message.next()) {
    if (field->number >= 1 && field->number <= 3) need_type(*field, 2, name);
    if (field->number == 1) model.pieces.push_back(read_piece(field->bytes, name));
    if (field->number == 2) read_trainer(field->bytes, model, name);
    if (field->number == 3) read_normalizer(field->bytes, model, name);
  }
  if (model.pieces.empty()) fail(name, "it has no pieces");
  if (model.kind != 2) refuse_model(name, "it is not of the type BPE");
  if (model.rules) refuse_model(name, "it has rules of normalisation");
  if (model.suffix_mark) refuse_model(name, "spaces stand at the end of its words");
  if (model.extra_spaces_removed) refuse_model(name, "it drops repeated spaces");
  if (!model.spaces_escaped) refuse_model(name, "it does not write spaces as U+2581");
  return model;
}

// ---- as a tokenizer.json ----

/// All ways to put a piece together from two others, best scores first.
io::Json merges_of(const Model& model) {
  std::unordered_map<std::string_view, int64_t> ids;
  for (const Piece& piece : model.pieces) {
    if (piece.type == PieceType::kNormal) ids.emplace(piece.text, ids.size());
  }
  struct Merge {
    float score;
    int64_t left, right;
    std::string_view text;
    size_t cut;
  };
  std::vector<Merge> merges;
  for (const Piece& piece : model.pieces) {
    if (piece.type != PieceType::kNormal) continue;
    const std::string_view text = piece.text;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const auto left = ids.find(text.substr(0, cut)), right = ids.find(text.substr(cut));
      if (left == ids.end() || right == ids.end()) continue;
      merges.push_back({piece.score, left->second, right->second, text, cut});
    }
  }
  std::ranges::stable_sort(merges, [](const Merge& a, const Merge& b) {
    if (a.score != b.score) return a.score > b.score;
    return std::pair(a.left, a.right) < std::pair(b.left, b.right);
  });
  io::Json out = io::Json::array();
  for (const Merge& merge : merges) {
    out.push_back(io::Json::array({merge.text.substr(0, merge.cut), merge.text.substr(merge.cut)}));
  }
  return out;
}

io::Json normalizer_of(const Model& model, const char* mark) {
  io::Json steps = io::Json::array();
  if (model.dummy_prefix) steps.push_back({{"type", "Prepend"}, {"prepend", mark}});
  steps.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", mark}});
  return {{"type", "Sequence"}, {"normalizers", std::move(steps)}};
}

io::Json decoder_of(const Model& model, const char* mark) {
  io::Json steps = {{{"type", "Replace"}, {"pattern", {{"String", mark}}}, {"content", " "}},
                    {{"type", "ByteFallback"}},
                    {{"type", "Fuse"}}};
  if (model.dummy_prefix) {
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return {{"type", "Sequence"}, {"decoders", std::move(steps)}};
}

io::Json bos_template(const Model& model) {
  const auto found = std::ranges::find_if(model.pieces, [](const Piece& piece) {
    return piece.type == PieceType::kControl && piece.text == "<s>";
  });
  if (found == model.pieces.end()) return nullptr;
  const io::Json bos = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const auto text_of = [](const char* id, int type) {
    return io::Json{{"Sequence", {{"id", id}, {"type_id", type}}}};
  };
  const io::Json bos_b = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 1}}}};
  return {{"type", "TemplateProcessing"},
          {"single", io::Json::array({bos, text_of("A", 0)})},
          {"pair", io::Json::array({bos, text_of("A", 0), bos_b, text_of("B", 1)})},
          {"special_tokens",
           {{"<s>",
             {{"id", "<s>"},
              {"ids", io::Json::array({found - model.pieces.begin()})},
              {"tokens", io::Json::array({"<s>"})}}}}}};
}

}  // namespace

bool is_sentencepiece(std::string_view content) {
  // Its first field is number 1, of bytes; in JSON a brace comes after white space.
  const size_t at = content.find_first_not_of(" \t\r\n");
  return content.starts_with('\n') && (at == content.npos || content[at] != '{');
}

std::string sentencepiece_to_json(std::string_view content, const std::string& name) {
  constexpr const char* kMark = "\xE2\x96\x81";
  const Model model = read_model(content, name);
  io::Json root = hf_frame({});
  io::Json vocab = io::Json::object();
  auto& pairs = vocab.get_ref<io::Json::object_t&>();
  io::Json unk = nullptr;
  std::unordered_set<std::string_view> seen;
  for (const Piece& piece : model.pieces) {
    const auto id = static_cast<int64_t>(pairs.size());
    if (!seen.insert(piece.text).second)
      fail(name, "the piece \"" + piece.text + "\" stands twice");
    pairs.push_back({piece.text, io::Json(id)});
    if (piece.type == PieceType::kUnused) refuse_model(name, "it has unused pieces");
    if (piece.type == PieceType::kUser && model.dummy_prefix) {
      refuse_model(name, "it has pieces of its user beside a dummy prefix");
    }
    if (piece.type == PieceType::kUnknown) unk = piece.text;
    const bool user = piece.type == PieceType::kUser;
    if (!user && piece.type != PieceType::kControl && piece.type != PieceType::kUnknown) continue;
    io::Json token = hf_added_token(piece.text, static_cast<int32_t>(id));
    token["normalized"] = user;
    token["special"] = !user;
    root["added_tokens"].push_back(std::move(token));
  }
  root["normalizer"] = normalizer_of(model, kMark);
  root["post_processor"] = bos_template(model);
  root["decoder"] = decoder_of(model, kMark);
  io::Json& bpe = root["model"] = hf_bpe_model(std::move(vocab), merges_of(model));
  bpe["unk_token"] = std::move(unk);
  bpe["fuse_unk"] = true;
  bpe["byte_fallback"] = model.byte_fallback;
  return root.dump() + "\n";
}

}  // namespace adder::text
