// adder generate MODEL: continues a prompt.
#include <fmt/format.h>

#include <iostream>
#include <iterator>
#include <optional>

#include "adder/base/error.h"
#include "adder/cli/ids.h"
#include "adder/cli/loaded_model.h"
#include "adder/cli/no_tokenizer.h"
#include "adder/cli/output.h"
#include "adder/cli/sampling.h"
#include "adder/cli/verbs.h"
#include "adder/io/file.h"
#include "adder/text/stream_decoder.h"

namespace adder::cli {
namespace {

struct Request {
  std::string model, prompt, prompt_file, ids;
  infer::GenerateOptions generation;
  int64_t samples = 1;
  int64_t threads = 0;
  bool json = false;
};

std::string read_prompt_file(const std::string& path) {
  constexpr int64_t kLargest = int64_t{1} << 30;
  if (path != "-") return io::read_file(path, kLargest);
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

std::vector<int32_t> prompt_of(const Request& request, const Arguments& args,
                               const LoadedModel& loaded) {
  if (args.given("prompt") + args.given("prompt_file") + args.given("ids") != 1) {
    throw Error(ErrorKind::kUsage, {.what = "give one of --prompt, --prompt-file and --ids"});
  }
  if (args.given("ids")) return read_ids(request.ids, loaded.model.vocab_size());
  const std::string text =
      args.given("prompt") ? request.prompt : read_prompt_file(request.prompt_file);
  auto ids = text::encode_beginning(loaded.words("a prompt"), text);
  if (ids.empty()) {
    throw Error(ErrorKind::kUsage,
                {.what = "the prompt is empty", .next = "give at least one character"});
  }
  return ids;
}

std::string valid_text(const text::Tokenizer& tokenizer, std::span<const int32_t> ids) {
  std::vector<int32_t> known;
  for (const int32_t id : ids) {
    if (id < tokenizer.vocab_size()) known.push_back(id);
  }
  text::StreamDecoder decoder;
  const std::string text = decoder.feed(tokenizer.decode(known));
  return text + decoder.flush();
}

/// One continuation: streamed to stdout unless as JSON.
io::Json sample(const Request& request, LoadedModel& loaded, const text::Tokenizer& tokenizer,
                std::span<const int32_t> prompt, int64_t index) {
  infer::GenerateOptions options = request.generation;
  options.sampler.seed = seed_of(options.sampler.seed, index);
  const std::string prompt_text = valid_text(tokenizer, prompt);
  if (!request.json) print(prompt_text);
  infer::OnToken on_token;
  if (!request.json) {
    on_token = [](std::optional<int32_t>, std::string_view piece) {
      if (!piece.empty()) print(piece);
      return true;
    };
  }
  infer::State state = loaded.model.new_state();
  infer::Generator generator(loaded.model, tokenizer, loaded.directory->special_tokens().eos);
  const auto made = generator.run(prompt, state, options, on_token);
  if (!request.json) {
    print("\n");
    const double rate =
        static_cast<double>(made.ids.size()) / std::max(1e-9, made.generate_seconds);
    say(fmt::format("[{} tokens, {:.0f} tokens/s; prompt {} tokens, {:.3f} s; ended by {}; {}]",
                    made.ids.size(), rate, made.prompt_tokens, made.prompt_seconds,
                    to_string(made.reason), describe_sampler(options)));
    return {};
  }
  std::vector<int32_t> ids(prompt.begin(), prompt.end());
  ids.insert(ids.end(), made.ids.begin(), made.ids.end());
  return {{"ids", ids},
          {"text", prompt_text + made.text},
          {"new_text", made.text},
          {"prompt_tokens", made.prompt_tokens},
          {"reason", to_string(made.reason)},
          {"seed", options.sampler.seed},
          {"prompt_s", made.prompt_seconds},
          {"generate_s", made.generate_seconds}};
}

}  // namespace

int run_generate(Words words) {
  Request request;
  Arguments args(
      "generate MODEL (--prompt TEXT | --prompt-file FILE | --ids FILE) [flags]",
      "Continues a prompt; the text is streamed to stdout. Samplers apply in this order:\n"
      "repetition penalty, temperature, top-k, top-p, min-p, the draw.",
      {"adder generate runs/first --prompt \"One morning\" --temperature 0.8",
       "adder generate runs/first --prompt \"Tom \" --samples 3 --seed 7",
       "adder generate DIR --ids ids.npy --max-new-tokens 64 --temperature 0 --json"});
  args.positional("MODEL", request.model, "a model directory, a run or a checkpoint");
  args.option("prompt", request.prompt, "text to go on from");
  args.option("prompt_file", request.prompt_file, "file with that text; -: standard input");
  args.option("ids", request.ids, "token ids to go on from (.npy)");
  add_generation_flags(args, request.generation);
  args.option("samples", request.samples, "continuations, with seed, seed + 1, ...");
  args.option("threads", request.threads, "processor threads; 0: every core");
  args.option("json", request.json, "ids (prompt and new) and text as JSON on stdout");
  if (!args.parse(words)) return 0;
  check_generation(request.generation);
  if (request.samples < 1) throw Error(ErrorKind::kUsage, {.what = "--samples must be 1 or more"});
  LoadedModel loaded = load_model(request.model, request.threads);
  const auto prompt = prompt_of(request, args, loaded);
  const NoTokenizer none(loaded.model.vocab_size());
  const text::Tokenizer* own = loaded.tokenizer.get();
  const text::Tokenizer& tokenizer = own != nullptr ? *own : none;
  io::Json samples = io::Json::array();
  for (int64_t i = 0; i < request.samples; ++i) {
    samples.push_back(sample(request, loaded, tokenizer, prompt, i));
  }
  if (request.json) print_json(request.samples == 1 ? samples[0] : io::Json{{"samples", samples}});
  return 0;
}

}  // namespace adder::cli
