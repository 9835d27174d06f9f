// adder chat MODEL: a conversation, line by line.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "adder/base/error.h"
#include "adder/base/printable.h"
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
  bool lines = false, no_history = false, json = false;
};

/// The lines of a person or a pipe, until one ends it.
class Talk {
 public:
  Talk(Conversation& conversation, const Request& request)
      : conversation_(conversation),
        state_(request.keep_state),
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
      if (!line.starts_with("/")) {
        conversation_.answer(line);
      } else if (line.starts_with("//")) {
        conversation_.answer(line.substr(1));
      } else if (!run_command(conversation_, line)) {
        return false;
      }
      if (!state_.empty()) conversation_.keep(state_);  // whatever ends the program later
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
  std::string state_;  // file that keeps it; or ""
  bool json_, terminal_;
  LineHistory history_;
  bool failed_ = false, leaving_ = false;
};

void introduce(const Request& request, const LoadedModel& loaded, const ChatFormat& format) {
  const std::filesystem::path path(request.model);
  const auto last = path.has_filename() ? path.filename() : path.parent_path().filename();
  say(last.string() + ": " + describe_model(loaded));
  constexpr std::size_t kMostBytes = 100;  // the name may come from a file
  const std::string name = printable(format.name(), kMostBytes);
  say((request.lines  ? "It answers each line with a line. "
       : name.empty() ? "It completes what you type. "
                      : "It answers by the chat template " + name + ". ") +
      "/help says what else you can do; Ctrl-D ends.");
}

/// What comes before the first line; false when that was interrupted.
bool begin(Conversation& conversation, const Request& request) {
  const std::string& state = request.keep_state;
  std::error_code unknown;
  const bool goes_on = !state.empty() && std::filesystem::exists(state, unknown);
  if (goes_on) conversation.load(state);
  if (request.file.empty()) return true;
  if (goes_on) {
    say("note: " + request.file + " is not read: the conversation of " + state +
        " goes on; /read reads it");
    return true;
  }
  if (!conversation.read_file(request.file)) return false;
  if (!state.empty()) conversation.keep(state);
  return true;
}

int talk(const Request& request, bool one_prompt) {
  LoadedModel loaded = load_model(request.model, request.threads);
  const ChatFormat format(
      request.lines ? std::nullopt
                    : find_chat_template(request.chat_template, loaded.folder.string()),
      request.system,
      {.between = data::unescape(request.between), .after = data::unescape(request.after)});
  const auto show = request.json     ? Conversation::Show::kJson
                    : isatty(1) == 1 ? Conversation::Show::kTerminal
                                     : Conversation::Show::kPlain;
  catch_interrupts();
  Conversation conversation(loaded, request.generation, format, show);
  if (isatty(0) == 1 && !one_prompt) introduce(request, loaded, format);
  if (!begin(conversation, request)) return 1;
  int code = 0;
  if (one_prompt) {
    conversation.answer(request.prompt);
  } else {
    code = Talk(conversation, request).run();
  }
  if (!request.keep_state.empty()) conversation.save(request.keep_state);
  return code;
}

void check_pairs(const Arguments& args) {
  const auto refuse = [&](const char* one, const char* other, const char* next) {
    if (!args.given(one) || !args.given(other)) return;
    throw Error(ErrorKind::kUsage,
                {.what = fmt::format("--{} does not go with --{}", one, other), .next = next});
  };
  refuse("lines", "after", "give --lines alone: it says what follows each line");
  refuse("lines", "template", "give one of them: both say what a line becomes");
  refuse("lines", "system", "only a chat template has a message of the system");
  refuse("system", "file", "put it at the beginning of the file");
}

}  // namespace

int run_chat(Words words) {
  Request request;
  request.generation.sampler.temperature = 0.8;
  Arguments args(
      "chat MODEL [flags]",
      "A conversation, line by line: the model keeps everything said in its state. "
      "Answers are drawn at\ntemperature 0.8; --temperature 0 takes the most likely "
      "word every time. /help lists the commands.",
      {"adder chat runs/first", "adder chat runs/first -p \"Once upon a time\"",
       "adder chat runs/first --file book.txt --keep-state book.state",
       "adder chat runs/questions --lines", "printf 'Hello\\n' | adder chat runs/first --json"});
  args.positional("MODEL", request.model, "a model directory, a run or a checkpoint");
  args.option("prompt", request.prompt, "answer this alone, and end");
  args.short_name('p', "prompt");
  args.option("file", request.file, "text to read first, of any length; -: standard input");
  args.option("keep_state", request.keep_state,
              "file that holds the conversation from one time to the next, saved after each turn; "
              "once it is there, --file is not read again");
  add_generation_flags(args, request.generation);
  args.option("template", request.chat_template,
              "chat template: a built-in name, a file or a model folder; empty: the model's own");
  args.option("system", request.system, "a message of the system before the first line");
  args.option("lines", request.lines,
              "for a model of lines, such as questions and answers: each line that you write is a "
              "line of the text, and the answer is the next one (--after '\\n' --stop '\\n')");
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
  if (request.lines) {
    request.after = "\\n";
    request.generation.stop.emplace_back("\\n");
  }
  check_generation(request.generation);
  check_pairs(args);
  if (request.file == "-" && !args.given("prompt")) {
    throw Error(ErrorKind::kUsage, {.what = "--file - leaves no lines to answer",
                                    .next = "give the line with --prompt"});
  }
  return talk(request, args.given("prompt"));
}

}  // namespace adder::cli
