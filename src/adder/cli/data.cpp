// adder data ...: text, tokenizers, token ids and shards.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "adder/base/error.h"
#include "adder/cli/help.h"
#include "adder/cli/output.h"
#include "adder/cli/verbs.h"
#include "adder/data/corpus.h"
#include "adder/data/inspect.h"
#include "adder/data/loader.h"
#include "adder/data/prepare.h"
#include "adder/data/shard_writer.h"
#include "adder/data/stories.h"
#include "adder/io/npy.h"
#include "adder/io/output_path.h"
#include "adder/text/tokenizer.h"

namespace adder::cli {
namespace {

/// Opens `paths` as documents; `separator` may hold \n and \t written out.
data::Corpus open_corpus(const std::vector<std::string>& paths, const std::string& separator) {
  return data::Corpus::open({paths.begin(), paths.end()}, data::unescape(separator));
}

int generate(Words words) {
  int64_t bytes = 2'000'000, seed = 1;
  std::string out;
  bool json = false;
  Arguments args("data generate --out FILE [flags]",
                 "Writes small stories out of a grammar, offline: a text that a small model learns "
                 "in minutes.",
                 {"adder data generate --bytes 2000000 --seed 1 --out stories.txt"});
  args.option("out", out, "file to write");
  args.option("bytes", bytes, "least size of the text");
  args.option("seed", seed, "the same seed and size give the same bytes everywhere");
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  args.need({"out"});
  if (bytes < 1) {
    throw Error(ErrorKind::kUsage,
                {.what = "--bytes must be at least 1, got " + std::to_string(bytes)});
  }
  Bar bar("writing", bytes, "B");
  io::AtomicFile file(out);
  int64_t written = 0;
  const int64_t stories =
      data::generate_stories(static_cast<uint64_t>(seed), bytes, [&](std::string_view piece) {
        file.write(io::as_bytes(piece));
        written += static_cast<int64_t>(piece.size());
        bar.update(std::min(written, bytes));
      });
  file.commit();
  bar.finish();
  if (json) print_json({{"file", out}, {"bytes", written}, {"stories", stories}, {"seed", seed}});
  say(fmt::format("{}: {} stories, {} bytes, seed {}", out, stories, written, seed));
  return 0;
}

int tokenizer(Words words) {
  std::string kind = "char", out;
  std::vector<std::string> text;
  bool json = false;
  Arguments args("data tokenizer --text FILE --out FILE [flags]",
                 "Makes a tokenizer from text and writes it as tokenizer.json.",
                 {"adder data tokenizer --kind char --text stories.txt --out tokenizer.json"});
  args.choice("kind", kind, {"char", "byte"}, "one token for each");
  args.texts("text", text, "a text file, or a folder of .txt files (char needs it)");
  args.option("out", out, "file to write");
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  args.need({"out"});
  io::check_output_file(out);
  std::unique_ptr<text::Tokenizer> made;
  if (kind == "byte") {
    made = data::make_tokenizer(kind, {});
  } else {
    args.need({"text"});
    made = data::make_tokenizer(kind, open_corpus(text, "").documents());
  }
  made->save(out);
  if (json) print_json({{"file", out}, {"kind", made->kind()}, {"vocab_size", made->vocab_size()}});
  say(fmt::format("{}: {} tokenizer, {} tokens", out, made->kind(), made->vocab_size()));
  return 0;
}

int encode(Words words) {
  std::string tokenizer_path, text_path, out;
  bool json = false;
  Arguments args("data encode --tokenizer FILE --text FILE --out ids.npy [flags]",
                 "Writes a text as token ids: a NumPy array of int32, one dimension.",
                 {"adder data encode --tokenizer runs/first --text book.txt --out ids.npy"});
  args.option("tokenizer", tokenizer_path, "tokenizer.json, or a folder that holds one");
  args.option("text", text_path, "text file (UTF-8)");
  args.option("out", out, "file to write");
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  args.need({"tokenizer", "text", "out"});
  io::check_output_file(out);
  const auto tokenizer = text::load_tokenizer(tokenizer_path);
  const io::MappedFile file(text_path);
  const std::string_view whole(reinterpret_cast<const char*>(file.bytes().data()),
                               file.bytes().size());
  data::check_text(whole, text_path);
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  Bar bar("encoding", file.size(), "B");
  std::vector<int32_t> ids;
  for (std::size_t done = 0; done < whole.size();) {
    const auto rest = whole.substr(done);
    const auto size = tokenizer->cut_at(rest, kPiece);
    const auto piece = tokenizer->encode(rest.substr(0, size));
    ids.insert(ids.end(), piece.begin(), piece.end());
    done += size;
    bar.update(static_cast<int64_t>(done));
  }
  bar.finish();
  const int64_t shape[] = {static_cast<int64_t>(ids.size())};
  io::write_npy(out, DType::i32, shape, std::as_bytes(std::span(ids)));
  if (json) print_json({{"file", out}, {"tokens", shape[0]}, {"bytes", file.size()}});
  say(fmt::format("{}: {} tokens from {} bytes", out, shape[0], file.size()));
  return 0;
}

int shard(Words words) {
  std::string tokenizer_spec = "char", separator, out;
  std::vector<std::string> text;
  bool json = false;
  Arguments args("data shard --text FILE --out DIR [flags]",
                 "Writes texts as hashed, memory-mapped token shards.",
                 {"adder data shard --text books/ --tokenizer byte --out shards"});
  args.texts("text", text, "a text file, or a folder of .txt files");
  args.option("tokenizer", tokenizer_spec, "char, byte, or the path of a tokenizer.json");
  args.option("separator", separator,
              "text between documents, \\n and \\t understood; empty: each file is one document");
  args.option("out", out, "folder to make");
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  args.need({"text", "out"});
  io::check_output_folder(out);
  const auto corpus = open_corpus(text, separator);
  const auto tokenizer = data::make_tokenizer(tokenizer_spec, corpus.documents());
  Bar bar("encoding", corpus.bytes(), "B");
  data::ShardWriter::Settings settings;
  settings.progress = [&](int64_t done) { bar.update(done); };
  data::ShardWriter writer(out, *tokenizer, settings);
  for (const auto document : corpus.documents()) writer.add_document(document);
  const auto manifest = writer.finish();
  bar.finish();
  if (json) print_json(manifest.to_json());
  say(fmt::format("{}: {} tokens of {}, {} documents, {} tokenizer", out, manifest.tokens,
                  manifest.vocab_size, corpus.documents().size(), manifest.tokenizer_kind));
  return 0;
}

constexpr int64_t kMaxRows = 1000;
constexpr int64_t kMaxShown = int64_t{1} << 24;  // tokens

int inspect(Words words) {
  std::string folder, mode = "packed";
  int64_t rows = 4, length = 64, seed = 1;
  bool json = false;
  Arguments args("data inspect DIR [flags]",
                 "Checks a folder of shards and shows training rows as the model sees them.",
                 {"adder data inspect shards --rows 2 --length 80"});
  args.positional("DIR", folder, "folder of shards, as `adder data shard` writes it");
  args.option("rows", rows, "rows to show");
  args.option("length", length, "tokens in a row");
  args.choice("mode", mode, {"packed", "docs"}, "as data.mode of a recipe");
  args.option("seed", seed, "of the order");
  args.option("json", json, "the manifest as JSON on stdout, no rows");
  if (!args.parse(words)) return 0;
  if (rows < 1 || rows > kMaxRows) {
    throw Error(ErrorKind::kUsage,
                {.what = fmt::format("--rows must be 1 to {}, got {}", kMaxRows, rows)});
  }
  if (length < 1 || length > kMaxShown / rows) {
    throw Error(ErrorKind::kUsage,
                {.what = fmt::format("--length must be 1 to {} for {} rows, got {}",
                                     kMaxShown / rows, rows, length)});
  }
  const auto shards = data::ShardSet::open(folder);
  shards.verify();
  if (json) {
    print_json(shards.manifest().to_json());
    return 0;
  }
  const auto& manifest = shards.manifest();
  say(fmt::format("{}: {} tokens of {}, {} documents, {} tokenizer; every hash is right", folder,
                  manifest.tokens, manifest.vocab_size, shards.document_count(),
                  manifest.tokenizer_kind));
  const auto tokenizer = text::load_tokenizer(folder);
  const auto loader_of = [&](int64_t batch_size) {
    return data::TokenLoader(shards, shards.all(),
                             {batch_size, length, seed, data::parse_pack_mode(mode)});
  };
  rows = std::min(rows, loader_of(1).windows(0));  // more would show the first ones again
  auto loader = loader_of(rows);
  print(data::describe_batch(loader.next(), *tokenizer, rows));
  return 0;
}

struct DataVerb {
  std::string_view name, summary;
  VerbFunction run;
};
constexpr DataVerb kDataVerbs[] = {
    {"generate", "write small stories, offline", &generate},
    {"tokenizer", "make a tokenizer from text", &tokenizer},
    {"encode", "a text as token ids (.npy)", &encode},
    {"shard", "texts as hashed, memory-mapped token shards", &shard},
    {"inspect", "check shards and show training rows", &inspect},
};

std::string data_help() {
  HelpText help("adder data VERB [flags]", "Makes or prepares text.");
  help.heading("verbs");
  for (const auto& verb : kDataVerbs) help.row(verb.name, verb.summary);
  help.heading("examples");
  help.line("adder data generate --bytes 2000000 --out stories.txt");
  help.line("adder data encode --tokenizer tokenizer.json --text stories.txt --out ids.npy");
  return help.text();
}

}  // namespace

int run_data(Words words) {
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
    print(data_help());
    return 0;
  }
  std::vector<std::string> names;
  for (const auto& verb : kDataVerbs) names.emplace_back(verb.name);
  if (!words.empty()) {
    const auto found = std::ranges::find(kDataVerbs, words[0], &DataVerb::name);
    if (found != std::end(kDataVerbs)) return found->run(words.subspan(1));
  }
  const auto near = words.empty() ? "" : nearest(words[0], names);
  throw Error(
      ErrorKind::kUsage,
      {.what = words.empty() ? "data does what?" : "unknown verb \"data " + words[0] + "\"",
       .next = near.empty() ? "one of " + join(names, ", ") : "did you mean " + near + "?"});
}

}  // namespace adder::cli
