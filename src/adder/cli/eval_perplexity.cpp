// adder eval perplexity MODEL
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "adder/base/error.h"
#include "adder/cli/eval_result.h"
#include "adder/cli/eval_suites.h"
#include "adder/cli/ids.h"
#include "adder/cli/loaded_model.h"
#include "adder/cli/output.h"
#include "adder/data/unescape.h"
#include "adder/eval/perplexity.h"
#include "adder/io/file.h"

namespace adder::cli {
namespace {

struct PerplexityOptions {
  std::string ids, per_token;
  std::vector<std::string> text;
  data::DocumentOptions documents;
  int64_t threads = 0;
  bool json = false;
  infer::ScoreOptions score;

  void describe(OptionVisitor& v) {
    v.field("ids", ids, "token ids (.npy), as `adder data encode` writes them: one document");
    v.field("separator", documents.separator,
            "cuts plain text into documents, \\n and \\t understood; empty: each file is one");
    v.field("field", documents.field, "member of each line of a jsonl file that holds the text");
    v.field("per_token", per_token,
            "file for a line {\"document\", \"token\", \"loss\"} for each counted token");
    score.describe(v);
    v.field("threads", threads, "processor threads; 0: every core");
    v.field("json", json, "result as JSON on stdout");
  }
};

/// The file of --per-token, written as the losses come; nothing when it was not asked for.
class LossFile {
 public:
  explicit LossFile(const std::string& path) {
    if (!path.empty()) file_.emplace(path);
  }
  eval::OnTokenLosses writer() {
    if (!file_) return {};
    return [this](std::span<const eval::TokenLoss> losses) {
      std::string lines;
      for (const eval::TokenLoss& one : losses) {
        lines += fmt::format("{{\"document\":{},\"token\":{},\"loss\":{}}}\n", one.document,
                             one.token, one.nats);
      }
      file_->write(io::as_bytes(lines));
    };
  }
  void commit() {
    if (file_) file_->commit();
  }

 private:
  std::optional<io::AtomicFile> file_;
};

void read_ids_into(eval::Perplexity& perplexity, std::span<const int32_t> ids) {
  constexpr size_t kPiece = 2048;
  Bar bar("reading", static_cast<int64_t>(ids.size()), "token");
  for (size_t at = 0; at < ids.size(); at += kPiece) {
    const size_t end = std::min(at + kPiece, ids.size());
    perplexity.read(ids.subspan(at, end - at));
    bar.update(static_cast<int64_t>(end));
  }
  perplexity.end_document();
  bar.finish();
}

/// Counted tokens and what they came to.
io::Json measure(const PerplexityOptions& options, LoadedModel& loaded) {
  LossFile file(options.per_token);
  const text::Tokenizer* tokenizer = loaded.tokenizer.get();
  const auto measured = [&](std::optional<int32_t> bos, auto&& read) {
    eval::Perplexity perplexity(loaded.model, tokenizer, options.score, bos, file.writer());
    const auto start = std::chrono::steady_clock::now();
    read(perplexity);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    io::Json json = perplexity.to_json();
    json["tokens_per_s"] = static_cast<double>(perplexity.tokens()) / std::max(1e-9, time.count());
    file.commit();
    return json;
  };
  if (!options.ids.empty()) {  // as they are: a token that begins the text stands in the file
    const auto ids = read_ids(options.ids, loaded.model.vocab_size());
    return measured(std::nullopt, [&](auto& perplexity) { read_ids_into(perplexity, ids); });
  }
  const text::Tokenizer& words = loaded.words("--text");
  data::DocumentStream documents(options.text, options.documents);
  return measured(words.bos_id(), [&](auto& perplexity) {
    Bar bar("reading", documents.bytes_total(), "B");
    const auto left_out =
        eval::read_documents(perplexity, words, documents, [&](int64_t done) { bar.update(done); });
    bar.finish();
    if (!left_out.note().empty()) say("note: " + left_out.note());
  });
}

void print_perplexity(const io::Json& json) {
  const io::Json& confidence = json.at("confidence_95");
  const auto line = [&](const char* words, const char* name, int digits) {
    if (!json.contains(name)) return;
    print(fmt::format("{:<13}{:.{}f}", words, json.at(name).get<double>(), digits));
    if (!confidence.is_null()) {
      print(fmt::format("    {:.{}f} to {:.{}f}", confidence.at(name)[0].get<double>(), digits,
                        confidence.at(name)[1].get<double>(), digits));
    }
    print("\n");
  };
  line("nats/token", "nats_per_token", 5);
  line("perplexity", "perplexity", 4);
  line("bits/byte", "bits_per_byte", 5);
  const auto documents = json.at("documents").get<int64_t>();
  print(fmt::format("documents    {}{}\n", documents,
                    documents == 1 ? ", so no interval" : ", 95 % interval over them"));
  print(fmt::format(
      "tokens       {}{}\n", json.at("tokens").get<int64_t>(),
      json.at("first_token_counted").get<bool>() ? "" : ", each document's first left out"));
  print(fmt::format("tokens/s     {:.0f}\n", json.at("tokens_per_s").get<double>()));
}

}  // namespace

int run_eval_perplexity(Words words) {
  std::string name;
  PerplexityOptions options;
  Arguments args(
      "eval perplexity MODEL (--ids FILE | --text FILE ...) [flags]",
      "How surprised a model is by texts: one pass through each document with the state carried, "
      "or "
      "windows.\nNothing is carried from document to document. The interval is over documents.",
      {"adder eval perplexity runs/first --text book.txt",
       "adder eval perplexity runs/first --text held-out/ --text 'more/*.jsonl.gz' --json",
       "adder eval perplexity DIR --ids ids.npy --per-token out.jsonl"});
  args.positional("MODEL", name, "a model directory, a run or a checkpoint");
  args.texts("text", options.text,
             "text files (txt, jsonl, gz or zst of them), folders or patterns, encoded with the "
             "model's tokenizer");
  args.options(flatten(options));
  if (!args.parse(words)) return 0;
  if (options.ids.empty() == options.text.empty()) {
    throw Error(ErrorKind::kUsage, {.what = "give either --ids or --text"});
  }
  options.score.check();
  options.documents.separator = data::unescape(options.documents.separator);
  LoadedModel loaded = load_model(name, options.threads);
  const auto start = std::chrono::steady_clock::now();
  io::Json result = measure(options, loaded);
  const bool ids = !options.ids.empty();
  describe_run(result, loaded, ids ? std::vector{options.ids} : options.text, start);
  if (options.json) print_json(result);
  if (!options.json) print_perplexity(result);
  return 0;
}

}  // namespace adder::cli
