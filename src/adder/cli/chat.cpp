// adder chat MODEL: a conversation, line by line.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "adder/base/error.h"
#include "adder/cli/chat_commands.h"
#include "adder/cli/chat_format.h"
#include "adder/cli/conversation.h"
#include "adder/cli/interrupt.h"
#include "adder/cli/line_input.h"
#include "adder/cli/loaded_model.h"
#include "adder/cli/model_line.h"
#include "adder/cli/output.h"
#include "adder/cli/sampling.h"
#include "adder/cli/verbs.h"
#include "adder/data/unescape.h"

namespace adder::cli {
namespace {

struct Request {
  std::string model, prompt, file, keep_state, chat_template, system;
  std::string between = "\\n", after;
  infer::GenerateOptions generation;
  int64_t threads = 0;
  bool no_history = false, json = false;
};

/// The lines of a person or a pipe, until one ends it.
class Talk {
 public:
  Talk(Conversation& conversation, const Request& request)
      : conversation_(conversation),
        json_(request.json),
        terminal_(isatty(0) == 1),
        history_(terminal_ && !request.no_history ? LineHistory::default_file()
                                                  : std::filesystem::path()) {}

  int run() {
    LineOptions options{
        .prompt = "> ", .history = &history_, .complete = [this](const std::string& beginning) {
          return commands_like(conversation_, beginning);
        }};
    const auto input = open_lines(std::move(options));
    std::string line;
    bool go_on = true;
    while (go_on) {
      const auto read = input->read(line);
      if (read == LineInput::Read::kEnd) break;
      go_on = read == LineInput::Read::kLine ? take(line) : !left_twice(line);
    }
    return failed_ && !terminal_ ? 1 : 0;
  }

 private:
  /// False: that was all.
  bool take(const std::string& line) {
    leaving_ = false;
    if (line.find_first_not_of(" \t") == std::string::npos) return true;  // nothing was said
    clear_interrupt();
    try {
      if (line.starts_with("/")) return run_command(conversation_, line);
      conversation_.answer(line);
    } catch (const Error& error) {
      print_error(error.text(), error.kind(), json_);
      failed_ = true;
    }
    return terminal_ || !interrupted();  // a person who stops an answer goes on, a pipe does not
  }

  /// Ctrl-C at the prompt takes the line away; twice where there is none, it ends.
  bool left_twice(const std::string& line) {
    if (!line.empty()) return leaving_ = false;
    if (!leaving_) say("Ctrl-C again, Ctrl-D or /quit ends");
    return std::exchange(leaving_, true);
  }

  Conversation& conversation_;
  bool json_, terminal_;
  LineHistory history_;
  bool failed_ = false, leaving_ = false;
};

void introduce(const Request& request, const LoadedModel& loaded, const ChatFormat& format) {
  const std::filesystem::path name(request.model);
  const auto last = name.has_filename() ? name.filename() : name.parent_path().filename();
  say(last.string() + ": " + describe_model(loaded));
  say((format.name().empty() ? "It completes what you type. "
                             : "It answers by the chat template " + format.name() + ". ") +
      "/help says what else you can do; Ctrl-D ends.");
}

int talk(const Request& request, bool one_prompt) {
  LoadedModel loaded = load_model(request.model, request.threads);
  const ChatFormat format(
      find_chat_template(request.chat_template, loaded.folder.string()), request.system,
      {.between = data::unescape(request.between), .after = data::unescape(request.after)});
  const auto show = request.json     ? Conversation::Show::kJson
                    : isatty(1) == 1 ? Conversation::Show::kTerminal
                                     : Conversation::Show::kPlain;
  catch_interrupts();
  Conversation conversation(loaded, request.generation, format, show);
  const std::filesystem::path state(request.keep_state);
  if (isatty(0) == 1 && !one_prompt) introduce(request, loaded, format);
  if (!state.empty() && std::filesystem::exists(state)) conversation.load(state);
  if (!request.file.empty()) conversation.read_file(request.file);
  int code = 0;
  if (one_prompt) {
    conversation.answer(request.prompt);
  } else {
    code = Talk(conversation, request).run();
  }
  if (!state.empty()) conversation.save(state);
  return code;
}

}  // namespace

int run_chat(Words words) {
  Request request;
  request.generation.sampler.temperature = 0.8;
  Arguments args("chat MODEL [flags]",
                 "A conversation, line by line: the model keeps everything said in its state. "
                 "Answers are drawn at\ntemperature 0.8; --temperature 0 takes the most likely "
                 "word every time. /help lists the commands.",
                 {"adder chat runs/first", "adder chat runs/first -p \"Once upon a time\"",
                  "adder chat runs/first --file book.txt --keep-state book.state",
                  "printf 'Hello\\n' | adder chat runs/first --json"});
  args.positional("MODEL", request.model, "a model directory, a run or a checkpoint");
  args.option("prompt", request.prompt, "answer this alone, and end");
  args.short_name('p', "prompt");
  args.option("file", request.file, "text to read first, of any length; -: standard input");
  args.option("keep_state", request.keep_state,
              "file that holds the conversation from one time to the next");
  add_generation_flags(args, request.generation);
  args.option("template", request.chat_template,
              "chat template: a built-in name, a file or a model folder; empty: the model's own");
  args.option("system", request.system, "a message of the system before the first line");
  args.option("between", request.between,
              "without a template: text put between an answer that did not end by itself and your "
              "next line, \\n and \\t understood");
  args.option("after", request.after,
              "without a template: text put after each line that you write");
  args.option("threads", request.threads, "processor threads; 0: every core");
  args.option("no_history", request.no_history,
              "keep no file of the lines that you type (~/.local/state/adder/chat_history)");
  args.option("json", request.json, "each answer as a line of JSON on stdout");
  if (!args.parse(words)) return 0;
  check_generation(request.generation);
  if (request.file == "-" && !args.given("prompt")) {
    throw Error(ErrorKind::kUsage, {.what = "--file - leaves no lines to answer",
                                    .next = "give the line with --prompt"});
  }
  return talk(request, args.given("prompt"));
}

}  // namespace adder::cli
