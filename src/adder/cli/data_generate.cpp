// adder data generate: text to learn from, out of a grammar or of a language model's server.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "adder/base/error.h"
#include "adder/cli/data_verbs.h"
#include "adder/cli/interrupt.h"
#include "adder/cli/output.h"
#include "adder/data/generate/offline.h"
#include "adder/data/generate/remote.h"
#include "adder/io/file.h"

namespace adder::cli {
namespace {

struct OfflineFlags {
  int64_t bytes = 2'000'000;
  std::vector<std::string> kinds = {"stories"};
};

struct RemoteFlags {
  std::string endpoint, api = "generate", model, system, key_env, templates, blocklist;
  std::vector<std::string> lists;
  double temperature = 0.8;
  int64_t max_tokens = 400;
  bool stream = false, dry_run = false, any_language = false;
  data::TextFilters filters;
  data::RemoteOptions options;

  std::vector<OptionEntry> entries();
};

std::vector<OptionEntry> RemoteFlags::entries() {
  std::vector<OptionEntry> all = {
      {"endpoint", &endpoint, "address of the server; ollama's own is http://127.0.0.1:11434", {}},
      {"api", &api, "which of ollama's two", {"generate", "chat"}},
      {"model", &model, "name of the model on that server", {}},
      {"system", &system, "system message", {}},
      {"key_env",
       &key_env,
       "variable of the environment that holds the bearer key; for openai over https it is "
       "OPENAI_API_KEY",
       {}},
      {"lists",
       &lists,
       "files with an item a line, NAME.txt for the templates of NAME; "
       "default: the words, topics and dates that Adder knows",
       {}},
      {"templates", &templates, "TOML file: [LIST] and NAME = \"prompt with {item}\"", {}},
      {"temperature", &temperature, "how freely the model chooses", {}},
      {"max_tokens", &max_tokens, "longest answer", {}},
      {"stream", &stream, "take answers as they are written, not whole at their end", {}},
      {"dry_run", &dry_run, "print the requests and send none", {}},
      {"min_length", &filters.min_chars, "shortest text in characters", {}},
      {"max_length", &filters.max_chars, "longest text in characters", {}},
      {"any_language", &any_language, "also what does not look like English", {}},
      {"max_repeated",
       &filters.max_repeated,
       "largest share of words in runs of five that came before",
       {}},
      {"blocklist", &blocklist, "file of words or phrases, one a line, that no text may hold", {}}};
  for (auto& entry : flatten(options)) all.push_back(std::move(entry));
  return all;
}

int generate_offline(const OfflineFlags& flags, int64_t seed, const std::string& out, bool json) {
  if (flags.bytes < 1) {
    throw Error(ErrorKind::kUsage,
                {.what = "--bytes must be at least 1, got " + std::to_string(flags.bytes)});
  }
  auto kinds = flags.kinds;
  if (kinds == std::vector<std::string>{"all"}) kinds = data::offline_kinds();
  Bar bar("writing", flags.bytes, "B");
  io::AtomicFile file(out);
  int64_t written = 0;
  const int64_t documents = data::generate_offline(kinds, static_cast<uint64_t>(seed), flags.bytes,
                                                   [&](std::string_view piece) {
                                                     file.write(io::as_bytes(piece));
                                                     written += static_cast<int64_t>(piece.size());
                                                     bar.update(std::min(written, flags.bytes));
                                                   });
  file.commit();
  bar.finish();
  const bool stories = kinds == std::vector<std::string>{"stories"};
  const char* what = stories ? "stories" : "documents";
  if (json) print_json({{"file", out}, {"bytes", written}, {what, documents}, {"seed", seed}});
  say(fmt::format("{}: {} {}, {} bytes, seed {}", out, documents, what, written, seed));
  return 0;
}

data::LlmServer server_of(const RemoteFlags& flags, const std::string& backend) {
  data::LlmServer server{.model = flags.model,
                         .system = flags.system,
                         .temperature = flags.temperature,
                         .max_tokens = flags.max_tokens,
                         .stream = flags.stream};
  const bool openai = backend == "openai";
  server.api = openai                ? data::LlmApi::kOpenAiChat
               : flags.api == "chat" ? data::LlmApi::kOllamaChat
                                     : data::LlmApi::kOllamaGenerate;
  std::string endpoint = flags.endpoint;
  if (endpoint.empty() && !openai) endpoint = "http://127.0.0.1:11434";
  if (!endpoint.empty()) server.url = data::llm_url(server.api, endpoint);  // a dry run needs none
  // A key that was not asked for goes to nobody in clear text.
  const bool unasked = flags.key_env.empty() && openai && server.url.secure;
  const std::string variable = unasked ? "OPENAI_API_KEY" : flags.key_env;
  const char* key = variable.empty() ? nullptr : std::getenv(variable.c_str());
  if (key == nullptr && !flags.key_env.empty()) {
    throw Error(ErrorKind::kUsage,
                {.what = "the environment has no " + flags.key_env, .where = "--key-env"});
  }
  if (key != nullptr) server.key = key;
  if (flags.max_tokens < 1 || flags.max_tokens > (1 << 20)) {
    throw Error(ErrorKind::kUsage, {.what = "--max-tokens is 1 to 1048576"});
  }
  if (!(flags.temperature >= 0 && flags.temperature <= 10)) {
    throw Error(ErrorKind::kUsage, {.what = "--temperature is 0 to 10"});
  }
  return server;
}

std::vector<data::GenerateTask> tasks_of(const RemoteFlags& flags, int64_t seed) {
  std::vector<data::ItemList> lists;
  for (const std::string& file : flags.lists) lists.push_back(data::read_item_list(file));
  if (lists.empty()) lists = data::built_in_lists();
  const auto templates =
      flags.templates.empty() ? data::built_in_templates() : data::read_templates(flags.templates);
  return data::make_tasks(lists, templates, seed);
}

int print_tasks(const std::vector<data::GenerateTask>& tasks, int64_t limit, bool json) {
  const auto count = static_cast<int64_t>(tasks.size());
  const int64_t shown = limit == 0 ? count : std::min(limit, count);
  for (const auto& task : std::span(tasks).first(static_cast<size_t>(shown))) {
    if (json) {
      print_json({{"file", task.file}, {"seed", task.seed}, {"prompt", task.prompt}});
    } else {
      print(fmt::format("{}: {}\n", task.file, task.prompt));
    }
  }
  say(fmt::format("{} of {} requests; none was sent", shown, count));
  return 0;
}

int generate_remote(RemoteFlags& flags, const std::string& backend, int64_t seed,
                    const std::string& out, bool json) {
  flags.options.check();
  flags.filters.check();
  if (!flags.blocklist.empty()) {
    flags.filters.blocklist = data::read_blocklist(flags.blocklist);
  }
  flags.filters.english = !flags.any_language;
  auto tasks = tasks_of(flags, seed);
  const auto server = server_of(flags, backend);
  if (flags.dry_run) return print_tasks(tasks, flags.options.limit, json);
  catch_first_interrupt();
  std::unique_ptr<Bar> bar;
  const auto progress = [&](const data::RemoteCounts& counts,
                            const std::vector<std::string>& notes) {
    if (!bar) bar = std::make_unique<Bar>("asking", counts.total, "text");
    for (const std::string& note : notes) say(note);
    bar->update(counts.finished,
                fmt::format("{} rejected  {} failed", counts.rejected, counts.failed));
    return !interrupted();
  };
  const auto counts =
      data::generate_remote(server, std::move(tasks), flags.filters, flags.options, out, progress);
  if (bar) bar->finish();
  if (json) {
    print_json({{"folder", out},
                {"done", counts.done},
                {"rejected", counts.rejected},
                {"failed", counts.failed},
                {"kept", counts.kept},
                {"earlier", counts.earlier},
                {"tokens", counts.tokens},
                {"stopped", counts.stopped}});
  }
  say(fmt::format("{}: {} texts, {} rejected, {} failed; {} were there, {} of them a person's{}",
                  out, counts.done, counts.rejected, counts.failed, counts.earlier + counts.kept,
                  counts.kept, counts.stopped ? "; stopped, the same command goes on" : ""));
  return counts.stopped || counts.failed > 0 ? 1 : 0;
}

/// Flags of the other back ends would be read by nobody.
void refuse_given(const Arguments& args, const std::vector<std::string>& keys,
                  const std::string& backend) {
  for (const std::string& key : keys) {
    if (!args.given(key)) continue;
    std::string flag = key;
    std::ranges::replace(flag, '_', '-');
    throw Error(ErrorKind::kUsage, {.what = "--" + flag + " says nothing to this back end",
                                    .where = "--backend " + backend});
  }
}

}  // namespace

int run_data_generate(Words words) {
  std::string backend = "offline", out;
  int64_t seed = 1;
  bool json = false;
  OfflineFlags offline;
  RemoteFlags remote;
  Arguments args("data generate --out PATH [flags]",
                 "Writes a text to learn from: small stories, conversations and facts out of a "
                 "grammar (offline), or what a language model behind a server writes about words, "
                 "topics and dates.",
                 {"adder data generate --bytes 2000000 --seed 1 --out stories.txt",
                  "adder data generate --kinds all --out text.txt",
                  "adder data generate --backend ollama --model llama3.1 --limit 100 --out made",
                  "adder data generate --backend openai --endpoint http://127.0.0.1:8000/v1 "
                  "--model NAME --out made"});
  args.option("out", out, "file to write; for a server's texts the folder, train on its texts/");
  args.choice("backend", backend, {"offline", "ollama", "openai"},
              "who writes: a grammar, or a server with one of these APIs");
  args.option("seed", seed, "the same seed and flags give the same bytes offline");
  args.option("json", json, "result as JSON on stdout");
  args.option("bytes", offline.bytes, "offline: least size of the text");
  args.option("kinds", offline.kinds, "offline: stories, words, topics, dates, chats; or all");
  const auto entries = remote.entries();
  args.options(entries);
  if (!args.parse(words)) return 0;
  if (backend == "offline") {
    std::vector<std::string> keys;
    for (const auto& entry : entries) keys.push_back(entry.key);
    refuse_given(args, keys, backend);
    args.need({"out"});
    return generate_offline(offline, seed, out, json);
  }
  refuse_given(args, {"bytes", "kinds"}, backend);
  if (backend == "openai") {
    refuse_given(args, {"api"}, backend);
    if (!remote.dry_run) args.need({"endpoint"});
  }
  if (!remote.dry_run) args.need({"model", "out"});
  return generate_remote(remote, backend, seed, out, json);
}

}  // namespace adder::cli
