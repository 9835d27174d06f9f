// adder chat MODEL: a conversation, line by line.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <iostream>
#include <string>

#include "adder/base/error.h"
#include "adder/cli/chat_format.h"
#include "adder/cli/help.h"
#include "adder/cli/loaded_model.h"
#include "adder/cli/output.h"
#include "adder/cli/sampling.h"
#include "adder/cli/verbs.h"
#include "adder/data/unescape.h"
#include "adder/infer/session.h"

namespace adder::cli {
namespace {

volatile sig_atomic_t interrupted = 0;

/// Ctrl-C ends an answer; at the prompt it ends the conversation (reading is not taken up again).
void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  sigaction(SIGINT, &action, nullptr);
}

class Conversation {
 public:
  /// `eos`: tokens that end an answer.
  Conversation(LoadedModel& loaded, std::vector<int32_t> eos, infer::GenerateOptions options,
               ChatFormat format, bool json)
      : tokenizer_(loaded.words("a conversation")),
        session_(loaded.model, tokenizer_, std::move(eos)),
        options_(std::move(options)),
        format_(std::move(format)),
        json_(json) {}

  /// Until /quit or the end of the input; the exit code.
  int run() {
    terminal_ = isatty(0) == 1;
    if (terminal_) say("/help lists what else you can say; /quit or Ctrl-D ends");
    std::string line;
    while (!done_ && read(line)) {
      try {
        if (line.starts_with("/")) {
          command(line);
        } else {
          answer(line);
        }
      } catch (const Error& error) {
        print_error(error.text(), error.kind(), json_);
        failed_ = true;
      }
    }
    if (terminal_) say("");
    return failed_ && !terminal_ ? 1 : 0;
  }

 private:
  bool read(std::string& line) {
    if (terminal_) {
      std::fputs("> ", stderr);
      std::fflush(stderr);
    }
    interrupted = 0;
    if (!std::getline(std::cin, line)) return false;
    if (line.ends_with('\r')) line.pop_back();  // a file with Windows line ends
    return true;
  }
  void answer(const std::string& line);
  void command(const std::string& line);
  void set_option(const std::string& name, const std::string& value);

  const text::Tokenizer& tokenizer_;
  infer::Session session_;
  infer::GenerateOptions options_;
  ChatFormat format_;
  bool json_;
  bool terminal_ = false, done_ = false, failed_ = false;
  int64_t turns_ = 0;
};

void Conversation::answer(const std::string& line) {
  infer::GenerateOptions options = options_;
  // Each answer draws its own words.
  options.sampler.seed = seed_of(options.sampler.seed, turns_++);
  const auto ids = format_.turn(tokenizer_, line, session_.ids());
  const auto made = session_.turn(ids, options, [&](auto, std::string_view piece) {
    if (!json_ && !piece.empty()) print(piece);
    return interrupted == 0;
  });
  if (json_) {
    print_json({{"text", made.text}, {"ids", made.ids}, {"reason", to_string(made.reason)}});
  } else {
    print("\n");
  }
}

void Conversation::set_option(const std::string& name, const std::string& value) {
  infer::GenerateOptions changed = options_;
  auto entries = generation_entries(changed);
  for (auto& entry : entries) std::ranges::replace(entry.key, '_', '-');
  std::vector<std::string> known = {"help", "undo", "reset", "save", "load", "quit"};
  for (const auto& entry : entries) known.push_back(entry.key);
  const auto found = std::ranges::find(entries, name, &OptionEntry::key);
  if (found == entries.end()) {
    const auto near = nearest(name, known);
    throw Error(ErrorKind::kUsage,
                {.what = "unknown command /" + name,
                 .next = near.empty() ? "/help" : "did you mean /" + near + "?"});
  }
  if (!value.empty()) {
    set_from_text(*found, value);
    changed.check();
    options_ = changed;
  }
  say(name + " " + to_text(found->value));
}

void Conversation::command(const std::string& line) {
  const auto space = line.find(' ');
  const std::string name = line.substr(1, space == std::string::npos ? space : space - 1);
  const std::string value = space == std::string::npos ? "" : line.substr(space + 1);
  const auto need_file = [&] {
    if (value.empty())
      throw Error(ErrorKind::kUsage, {.what = "/" + name + " wants a file's name"});
  };
  if (name == "quit" || name == "exit") {
    done_ = true;
  } else if (name == "undo") {
    say(session_.undo() ? "the last turn is taken back" : "there is nothing to take back");
  } else if (name == "reset") {
    session_.reset();
    say("everything is forgotten");
  } else if (name == "save") {
    need_file();
    session_.save(value);
    say("saved: " + value);
  } else if (name == "load") {
    need_file();
    session_.load(value);
    say(fmt::format("loaded: {} tokens", session_.ids().size()));
  } else if (name == "help") {
    HelpText help("/COMMAND or a line of text", "Commands of a conversation.");
    help.heading("commands");
    help.row("/undo", "take the last turn back");
    help.row("/reset", "forget everything");
    help.row("/save FILE, /load FILE", "keep the conversation, take it up again");
    help.row("/quit", "end");
    for (auto& entry : generation_entries(options_)) {
      std::ranges::replace(entry.key, '_', '-');
      help.row("/" + entry.key + " " + value_word(entry),
               entry.help + " (" + to_text(entry.value) + ")");
    }
    say(help.text());
  } else {
    set_option(name, value);
  }
}

}  // namespace

int run_chat(Words words) {
  std::string model, chat_template, system, after = "\\n";
  infer::GenerateOptions options;
  options.sampler.temperature = 0.8;
  int64_t threads = 0;
  bool json = false;
  Arguments args("chat MODEL [flags]",
                 "A conversation, line by line: the model keeps everything said in its state.",
                 {"adder chat runs/first", "adder chat runs/first --stop \"\\n\" --seed 3",
                  "printf 'Hello\\n' | adder chat runs/first --json"});
  args.positional("MODEL", model, "a model directory, a run or a checkpoint");
  add_generation_flags(args, options);
  args.option("template", chat_template,
              "chat template: a built-in name, a file or a model folder; empty: the model's own");
  args.option("system", system, "a message of the system before the first line");
  args.option(
      "after", after,
      "without a template: text put after each line that you write, \\n and \\t understood");
  args.option("threads", threads, "processor threads; 0: every core");
  args.option("json", json, "each answer as a line of JSON on stdout");
  if (!args.parse(words)) return 0;
  check_generation(options);
  LoadedModel loaded = load_model(model, threads);
  const ChatFormat format(find_chat_template(chat_template, loaded.folder.string()), system,
                          data::unescape(after));
  std::vector<int32_t> eos = loaded.directory->special_tokens().eos;
  format.end_answers(loaded.words("a conversation"), eos, options);
  catch_interrupts();
  return Conversation(loaded, std::move(eos), options, format, json).run();
}

}  // namespace adder::cli
