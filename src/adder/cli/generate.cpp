// adder generate MODEL: continues a prompt.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "adder/base/error.h"
#include "adder/cli/ids.h"
#include "adder/cli/loaded_model.h"
#include "adder/cli/no_tokenizer.h"
#include "adder/cli/output.h"
#include "adder/cli/sampling.h"
#include "adder/cli/text_source.h"
#include "adder/cli/verbs.h"
#include "adder/cli/word_stream.h"
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

/// What a model makes of a prompt: its state after all tokens but the last one, for any number of
/// continuations.
struct ReadPrompt {
  infer::State state;
  infer::TokenHistory history;
  int32_t last = 0;
  int64_t tokens = 0;
  double seconds = 0;
  std::vector<int32_t> ids;  // none where the prompt came from a file: it may be of any length
};

ReadPrompt read_prompt(const infer::TokenSource& source, infer::Model& model,
                       infer::Generator& generator) {
  ReadPrompt prompt{model.new_state(), {}, 0, 0, 0, {}};
  const auto stats = generator.read(source, prompt.state, prompt.history, prompt.last);
  prompt.tokens = stats.prompt_tokens;
  prompt.seconds = stats.prompt_seconds;
  return prompt;
}

ReadPrompt read_prompt(const Request& request, const Arguments& args, LoadedModel& loaded,
                       infer::Generator& generator) {
  if (args.given("prompt") + args.given("prompt_file") + args.given("ids") != 1) {
    throw Error(ErrorKind::kUsage, {.what = "give one of --prompt, --prompt-file and --ids"});
  }
  if (args.given("prompt_file")) {
    TextSource file(request.prompt_file, loaded.words("a prompt"), /*begins=*/true);
    Bar bar("reading", file.file_bytes(), "B");
    auto prompt = read_prompt(
        [&] {
          bar.update(file.file_bytes_read());
          return file.next();
        },
        loaded.model, generator);
    bar.clear();
    return prompt;
  }
  std::vector<int32_t> ids;
  if (args.given("ids")) {
    ids = read_ids(request.ids, loaded.model.vocab_size());
  } else {
    ids = text::encode_beginning(loaded.words("a prompt"), request.prompt);
    say_dropped(loaded.tokenizer->dropped(request.prompt));
  }
  auto prompt = read_prompt(infer::source_of(ids), loaded.model, generator);
  prompt.ids = std::move(ids);
  return prompt;
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
io::Json sample(const Request& request, infer::Generator& generator,
                const text::Tokenizer& tokenizer, const ReadPrompt& prompt, int64_t index) {
  infer::GenerateOptions options = request.generation;
  options.sampler.seed = seed_of(options.sampler.seed, index);
  const std::string prompt_text = valid_text(tokenizer, prompt.ids);
  std::vector<int32_t> ids = prompt.ids;
  std::string new_text;
  ScreenText screen(1);
  if (!request.json) print(screen.feed(prompt_text));
  const infer::OnToken on_token = [&](std::optional<int32_t> id, std::string_view piece) {
    if (request.json) {
      if (id) ids.push_back(*id);
      new_text += piece;
    } else if (const std::string shown = screen.feed(piece); !shown.empty()) {
      print(shown);
    }
    return true;
  };
  infer::State state = prompt.state;
  infer::TokenHistory history = prompt.history;
  const auto last = std::span(&prompt.last, 1);
  const auto made = generator.stream(infer::source_of(last), state, history, options, on_token);
  const double prompt_seconds = prompt.seconds + made.prompt_seconds;
  if (!request.json) {
    print(screen.flush() + "\n");
    const double rate =
        static_cast<double>(made.new_tokens) / std::max(1e-9, made.generate_seconds);
    say(fmt::format("[{} tokens, {:.0f} tokens/s; prompt {} tokens, {:.3f} s; ended by {}; {}]",
                    made.new_tokens, rate, prompt.tokens, prompt_seconds, to_string(made.reason),
                    describe_sampler(options)));
    return {};
  }
  return {{"ids", ids},
          {"text", prompt_text + new_text},
          {"new_text", new_text},
          {"prompt_tokens", prompt.tokens},
          {"reason", to_string(made.reason)},
          {"seed", options.sampler.seed},
          {"prompt_s", prompt_seconds},
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
  args.option(
      "prompt_file", request.prompt_file,
      "file with that text, of any length; -: standard input. It is not repeated in the output");
  args.option("ids", request.ids, "token ids to go on from (.npy)");
  add_generation_flags(args, request.generation);
  args.option("samples", request.samples, "continuations, with seed, seed + 1, ...");
  args.option("threads", request.threads, "processor threads; 0: every core");
  args.option("json", request.json, "ids (prompt and new) and text as JSON on stdout");
  if (!args.parse(words)) return 0;
  check_generation(request.generation);
  if (request.samples < 1) throw Error(ErrorKind::kUsage, {.what = "--samples must be 1 or more"});
  LoadedModel loaded = load_model(request.model, request.threads);
  const NoTokenizer none(loaded.model.vocab_size());
  const text::Tokenizer* own = loaded.tokenizer.get();
  const text::Tokenizer& tokenizer = own != nullptr ? *own : none;
  infer::Generator generator(loaded.model, tokenizer, loaded.directory->special_tokens().eos);
  const ReadPrompt prompt = read_prompt(request, args, loaded, generator);
  io::Json samples = io::Json::array();
  for (int64_t i = 0; i < request.samples; ++i) {
    samples.push_back(sample(request, generator, tokenizer, prompt, i));
  }
  if (request.json) print_json(request.samples == 1 ? samples[0] : io::Json{{"samples", samples}});
  return 0;
}

}  // namespace adder::cli
