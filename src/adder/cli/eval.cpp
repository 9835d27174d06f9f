// adder eval SUITE MODEL: perplexity.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <numeric>

#include "adder/base/error.h"
#include "adder/cli/ids.h"
#include "adder/cli/loaded_model.h"
#include "adder/cli/output.h"
#include "adder/cli/verbs.h"
#include "adder/data/corpus.h"
#include "adder/infer/score.h"
#include "adder/io/file.h"

namespace adder::cli {
namespace {

struct PerplexityOptions {
  std::string ids, text, per_token;
  int64_t threads = 0;
  bool json = false;
  infer::ScoreOptions score;

  void describe(OptionVisitor& v) {
    v.field("ids", ids, "token ids (.npy), as `adder data encode` writes them");
    v.field("text", text, "or a text file, encoded with the model's tokenizer");
    v.field("per_token", per_token,
            "file for a line {\"token\", \"loss\"} for each predicted token");
    score.describe(v);
    v.field("threads", threads, "processor threads; 0: every core");
    v.field("json", json, "result as JSON on stdout");
  }
};

std::vector<int32_t> ids_of(const PerplexityOptions& options, const LoadedModel& loaded) {
  if (options.ids.empty() == options.text.empty()) {
    throw Error(ErrorKind::kUsage, {.what = "give either --ids or --text"});
  }
  auto ids = options.ids.empty() ? std::vector<int32_t>()
                                 : read_ids(options.ids, loaded.model.vocab_size());
  if (options.ids.empty()) {
    const io::MappedFile file(options.text);
    const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                                file.bytes().size());
    data::check_text(text, options.text);
    ids = loaded.words("--text").encode(text);
  }
  const std::string& source = options.ids.empty() ? options.text : options.ids;
  if (ids.size() < 2) {
    throw Error(
        ErrorKind::kUsage,
        {.what = "there is nothing to predict", .where = source, .why = "it holds one token"});
  }
  return ids;
}

/// Bytes of the text that ids[1], ids[2], ... stand for; 0 when it is not known.
int64_t predicted_bytes(const LoadedModel& loaded, const std::vector<int32_t>& ids) {
  if (!loaded.tokenizer) return 0;
  int64_t bytes = 0;
  for (std::size_t i = 1; i < ids.size(); ++i) {
    if (ids[i] >= loaded.tokenizer->vocab_size()) return 0;
    bytes += static_cast<int64_t>(loaded.tokenizer->token_bytes(ids[i]).size());
  }
  return bytes;
}

void write_per_token(const std::string& path, const std::vector<int32_t>& ids,
                     const std::vector<double>& losses) {
  io::AtomicFile file(path);
  std::string lines;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    lines += fmt::format("{{\"token\":{},\"loss\":{}}}\n", ids[i + 1], losses[i]);
    if (lines.size() > (1u << 20) || i + 1 == losses.size()) {
      file.write(io::as_bytes(lines));
      lines.clear();
    }
  }
  file.commit();
}

int perplexity(Words words) {
  std::string name;
  PerplexityOptions options;
  Arguments args("eval perplexity MODEL (--ids FILE | --text FILE) [flags]",
                 "How surprised a model is by a text: one pass with the state carried, or windows.",
                 {"adder eval perplexity runs/first --text book.txt",
                  "adder eval perplexity DIR --ids ids.npy --per-token out.jsonl --json"});
  args.positional("MODEL", name, "a model directory, a run or a checkpoint");
  args.options(flatten(options));
  if (!args.parse(words)) return 0;
  options.score.check();
  LoadedModel loaded = load_model(name, options.threads);
  const auto ids = ids_of(options, loaded);
  const auto start = std::chrono::steady_clock::now();
  Bar bar("reading", static_cast<int64_t>(ids.size()) - 1, "token");
  const auto losses = infer::token_losses(loaded.model, ids, options.score,
                                          [&](int64_t done) { bar.update(done); });
  bar.finish();
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  const double total = std::accumulate(losses.begin(), losses.end(), 0.0);
  const double mean = total / static_cast<double>(losses.size());
  const double rate = static_cast<double>(losses.size()) / std::max(1e-9, time.count());
  const int64_t bytes = predicted_bytes(loaded, ids);
  const double bits = bytes > 0 ? total / std::log(2.0) / static_cast<double>(bytes) : 0;
  if (!options.per_token.empty()) write_per_token(options.per_token, ids, losses);
  if (options.json) {
    io::Json json = {{"tokens", losses.size()},
                     {"nats_per_token", mean},
                     {"perplexity", std::exp(mean)},
                     {"tokens_per_s", rate}};
    if (bytes > 0) json["bits_per_byte"] = bits;
    print_json(json);
    return 0;
  }
  print(fmt::format("nats/token   {:.5f}\nperplexity   {:.4f}\n", mean, std::exp(mean)));
  if (bytes > 0) print(fmt::format("bits/byte    {:.5f}\n", bits));
  print(fmt::format("tokens       {}\ntokens/s     {:.0f}\n", losses.size(), rate));
  return 0;
}

}  // namespace

int run_eval(Words words) {
  if (!words.empty() && words[0] == "perplexity") return perplexity(words.subspan(1));
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
    print(
        "usage: adder eval perplexity MODEL (--ids FILE | --text FILE) [flags]\n\n"
        "Measures a model; `adder eval perplexity --help` says more.\n");
    return 0;
  }
  throw Error(ErrorKind::kUsage,
              {.what = words.empty() ? "eval measures what?" : "unknown suite \"" + words[0] + "\"",
               .next = "known suites: perplexity"});
}

}  // namespace adder::cli
