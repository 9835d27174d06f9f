// adder data shard: texts as hashed, memory-mapped token shards.
#include <fmt/format.h>

#include "adder/cli/data_verbs.h"
#include "adder/cli/output.h"
#include "adder/cli/prepare_text.h"
#include "adder/data/prepare.h"
#include "adder/io/output_path.h"

namespace adder::cli {

std::vector<OptionEntry> text_options(data::DataOptions& options) {
  auto entries = flatten(options);
  std::erase_if(entries, [](const OptionEntry& entry) {
    return entry.key == "text" || entry.key == "weights" || entry.key == "val_fraction" ||
           entry.key == "tokenizer" || entry.key == "mode" || entry.key == "cache";
  });
  return entries;
}

int run_data_shard(Words words) {
  data::DataOptions options{.val_fraction = 0};  // training says what it holds out at the end
  std::string out;
  bool json = false;
  Arguments args("data shard --text FILE --out DIR [flags]",
                 "Writes texts as hashed, memory-mapped token shards. A recipe trains on them with "
                 "data.text = [\"DIR\"].",
                 {"adder data shard --text books/ --tokenizer byte --out shards",
                  "adder data shard --text 'web-*.jsonl.zst' --tokenizer bpe --vocab-size 8192 "
                  "--out shards",
                  "adder data shard --text chats.jsonl --chat-template chatml --tokenizer model "
                  "--out shards"});
  args.texts("text", options.text,
             "a file (.txt, .jsonl, .gz or .zst of both), a folder of them, or a pattern");
  args.option("tokenizer", options.tokenizer,
              "\"char\", \"bpe\" or \"word\" (made from the text), \"byte\", or the path of a "
              "tokenizer.json or model folder");
  args.options(text_options(options));
  args.option("out", out, "folder to make");
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  args.need({"text", "out"});
  io::check_output_folder(out);
  PhaseBars bars;
  const auto manifest = data::write_shards(options, out, bars.callback());
  bars.finish();
  for (const std::string& note : manifest.notes) say(note);
  if (json) print_json(manifest.to_json());
  say(fmt::format("{}: {} tokens of {}, {} documents, {} tokenizer", out, manifest.tokens,
                  manifest.vocab_size, manifest.documents.count, manifest.tokenizer_kind));
  return 0;
}

}  // namespace adder::cli
