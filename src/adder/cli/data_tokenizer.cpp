// adder data tokenizer, adder data encode: tokenizers out of text, and text as token ids.
#include <fmt/format.h>

#include "adder/cli/data_verbs.h"
#include "adder/cli/model_path.h"
#include "adder/cli/output.h"
#include "adder/cli/prepare_text.h"
#include "adder/data/document_stream.h"
#include "adder/data/make_tokenizer.h"
#include "adder/data/piece_encoder.h"
#include "adder/io/npy.h"
#include "adder/io/output_path.h"
#include "adder/text/tokenizer.h"

namespace adder::cli {
namespace {

/// A file, or a folder that holds one: a run's is in its checkpoints.
std::unique_ptr<text::Tokenizer> named_tokenizer(const std::string& name) {
  std::error_code ignored;
  const bool run = std::filesystem::is_directory(name, ignored) && !text::tokenizer_file(name);
  return text::load_tokenizer(run ? find_model(name) : std::filesystem::path(name));
}

}  // namespace

int run_data_tokenizer(Words words) {
  data::DataOptions options{.val_fraction = 0};
  std::string out;
  bool json = false;
  Arguments args("data tokenizer --text FILE --out FILE [flags]",
                 "Makes a tokenizer from text and writes it as a file.",
                 {"adder data tokenizer --kind char --text stories.txt --out tokenizer.json",
                  "adder data tokenizer --kind bpe --vocab-size 8192 --text books/ --out t.json",
                  "adder data tokenizer --kind word --word.min_count 2 --text books/ "
                  "--out word_tokenizer.json"});
  args.choice("kind", options.tokenizer, {"char", "byte", "bpe", "word"},
              "one token for each character, byte or word, or byte-level BPE");
  args.texts("text", options.text,
             "a file (.txt, .jsonl, .gz or .zst of both), a folder of them, or a pattern");
  args.options(text_options(options));
  args.option("out", out, "file to write");
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  args.need({"out"});
  if (options.tokenizer != "byte") args.need({"text"});
  io::check_output_file(out);
  PhaseBars bars;
  const auto made = data::make_tokenizer(options, bars.callback());
  bars.finish();
  made->save(out);
  const std::string note = data::tokenizer_note(options, nullptr, *made);
  if (!note.empty()) say(note);
  if (json) print_json({{"file", out}, {"kind", made->kind()}, {"vocab_size", made->vocab_size()}});
  say(fmt::format("{}: {} tokenizer, {} tokens", out, made->kind(), made->vocab_size()));
  return 0;
}

int run_data_encode(Words words) {
  std::string tokenizer_path, text_path, out;
  bool json = false;
  Arguments args("data encode --tokenizer FILE --text FILE --out ids.npy [flags]",
                 "Writes a text as token ids: a NumPy array of int32, one dimension.",
                 {"adder data encode --tokenizer runs/first --text book.txt --out ids.npy"});
  args.option("tokenizer", tokenizer_path,
              "tokenizer.json or word_tokenizer.json, or a folder that holds one, or a run's");
  args.option(
      "text", text_path,
      "a text file, folder or pattern; bos before each document, eos between two, where the "
      "tokenizer has them");
  args.option("out", out, "file to write");
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  args.need({"tokenizer", "text", "out"});
  io::check_output_file(out);
  const auto tokenizer = named_tokenizer(tokenizer_path);
  data::DocumentStream documents({text_path});
  data::PieceEncoder encoder(*tokenizer);
  const auto bos = tokenizer->bos_id(), eos = tokenizer->eos_id();
  Bar bar("encoding", documents.bytes_total(), "B");
  std::vector<int32_t> ids;
  int64_t bytes = 0;
  for (data::TextPiece piece; documents.next(piece);) {
    const auto more = encoder.feed(piece.text, piece.last);
    if (piece.first && !ids.empty() && eos) ids.push_back(*eos);
    if (piece.first && bos) ids.push_back(*bos);
    ids.insert(ids.end(), more.begin(), more.end());
    bytes += static_cast<int64_t>(piece.text.size());
    bar.update(documents.bytes_read());
  }
  bar.finish();
  const int64_t shape[] = {static_cast<int64_t>(ids.size())};
  io::write_npy(out, DType::i32, shape, std::as_bytes(std::span(ids)));
  const std::string note = encoder.take_left_out().note();
  if (!note.empty()) say("note: " + note);
  if (json) print_json({{"file", out}, {"tokens", shape[0]}, {"bytes", bytes}});
  say(fmt::format("{}: {} tokens from {} bytes", out, shape[0], bytes));
  return 0;
}

}  // namespace adder::cli
