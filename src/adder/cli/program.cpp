#include "adder/cli/program.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <new>
#include <string>
#include <vector>

#include "adder/base/error.h"
#include "adder/base/log.h"
#include "adder/base/printable.h"
#include "adder/base/version.h"
#include "adder/cli/bus_error.h"
#include "adder/cli/help.h"
#include "adder/cli/output.h"
#include "adder/cli/train_library.h"
#include "adder/cli/verbs.h"

namespace adder::cli {
namespace {

constexpr const char* kSummary =
    "Adder: state-space language models, from text to trained model to answers.";

std::string program_help() {
  HelpText help("adder VERB ... [flags]", kSummary);
  help.heading("verbs");
  for (const Verb& verb : verbs()) help.row(verb.name, verb.summary);
  help.heading("flags");
  help.row("--help", "this text; `adder VERB --help`: what a verb takes");
  help.row("--version", "the version");
  help.heading("examples");
  help.line("adder data generate --bytes 2000000 --seed 1 --out stories.txt");
  help.line("adder train recipes/mamba/quickstart.toml --data.text stories.txt --run runs/first");
  help.line("adder generate runs/first --prompt \"One morning\"");
  return help.text();
}

int dispatch(const std::vector<std::string>& words) {
  if (words.empty()) {
    say(program_help());
    return 2;
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print(program_help());
    return 0;
  }
  if (words[0] == "--version") {
    print(std::string("adder ") + kVersion + "\n");
    return 0;
  }
  const Verb& verb = find_verb(words[0]);
  const auto run = verb.run != nullptr ? verb.run : train_verb(verb.name);
  return run(Words(words).subspan(1));
}

int guarded(const std::vector<std::string>& words) {
  const bool json = std::ranges::find(words, "--json") != words.end();
  const auto fail = [&](ErrorKind kind, const ErrorText& text) {
    print_error(text, kind, json);
    return exit_code(kind);
  };
  try {
    return dispatch(words);
  } catch (const Error& error) {
    return fail(error.kind(), error.text());
  } catch (const std::bad_alloc&) {
    return fail(ErrorKind::kIo, {.what = "out of memory",
                                 .next = "use a smaller model, batch or length; `adder plan` says "
                                         "what a recipe needs"});
  } catch (const std::filesystem::filesystem_error& error) {
    return fail(ErrorKind::kIo, {.what = error.code().message(), .where = error.path1().string()});
  } catch (const std::exception& error) {
    return fail(ErrorKind::kInternal,
                {.what = "something went wrong inside Adder", .why = error.what()});
  }
}

}  // namespace

int run_program(int argc, const char* const* argv) noexcept {
  std::signal(SIGPIPE, SIG_IGN);  // print() sees closed pipes
  install_bus_error_message();
  set_log_sink([](LogLevel level, std::string_view text) {
    constexpr std::size_t kMaxBytes = 4000;  // names in it come from files
    say((level == LogLevel::kWarning ? "warning: " : "") + printable(text, kMaxBytes));
  });
  try {
    return guarded(std::vector<std::string>(argv + 1, argv + std::max(argc, 1)));
  } catch (const StdoutClosed&) {
    return 0;
  } catch (...) {  // printing an error failed
    return 1;
  }
}

}  // namespace adder::cli
