#include "adder/cli/chat_commands.h"

#include <algorithm>

#include "adder/base/error.h"
#include "adder/cli/help.h"
#include "adder/cli/output.h"
#include "adder/cli/sampling.h"
#include "adder/data/unescape.h"

namespace adder::cli {
namespace {

using Text = const std::string&;

struct Command {
  std::string name, argument;  // argument "": it takes none
  std::string help;
  void (*run)(Conversation&, Text);
};

/// Grouped as /help shows them; an entry without a function is a heading.
const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {"answers", "", "", nullptr},
      {"again", "", "another answer to the same line", [](auto& c, Text) { c.again(); }},
      {"more", "", "go on with the last answer", [](auto& c, Text) { c.more(); }},
      {"undo", "", "take the last turn back, as if it had not been",
       [](auto& c, Text) { c.undo(); }},
      {"reset", "", "forget everything", [](auto& c, Text) { c.reset(); }},
      {"texts", "", "", nullptr},
      {"read", "FILE", "read a text, however long, before you go on",
       [](auto& c, Text file) { c.read_file(file); }},
      {"tokens", "TEXT", "how a text is cut into tokens",
       [](auto& c, Text text) { c.show_tokens(text); }},
      {"stats", "", "tokens, speed and memory of this conversation",
       [](auto& c, Text) { c.show_stats(); }},
      {"keeping", "", "", nullptr},
      {"save", "FILE", "keep the conversation in a file", [](auto& c, Text file) { c.save(file); }},
      {"load", "FILE", "take one up again, in place of this",
       [](auto& c, Text file) { c.load(file); }},
  };
  return table;
}

std::vector<OptionEntry> settings(Conversation& conversation) {
  auto entries = generation_entries(conversation.options());
  for (auto& entry : entries) std::ranges::replace(entry.key, '_', '-');
  return entries;
}

std::string stops_text(const std::vector<std::string>& stops) {
  std::string text;
  for (const auto& stop : stops)
    text += (text.empty() ? "" : ", ") +
            io::Json(stop).dump(-1, ' ', false, io::Json::error_handler_t::replace);
  return text.empty() ? "none" : text;
}

void set_stops(Conversation& conversation, const std::string& value) {
  auto& stops = conversation.options().stop;
  if (value == "none") {
    stops.clear();
  } else if (!value.empty()) {
    stops.push_back(data::unescape(value));
  }
  say("stop " + stops_text(stops));
}

void set_setting(Conversation& conversation, const std::string& name, const std::string& value) {
  const infer::GenerateOptions before = conversation.options();
  const auto entries = settings(conversation);
  const auto found = std::ranges::find(entries, name, &OptionEntry::key);
  if (found == entries.end()) {
    std::vector<std::string> known;
    for (const auto& command : commands_like(conversation, "/")) known.push_back(command.substr(1));
    const auto near = nearest(name, known);
    throw Error(ErrorKind::kUsage, {.what = "unknown command /" + name,
                                    .next = near.empty() ? "/help lists the commands"
                                                         : "did you mean /" + near + "?"});
  }
  if (!value.empty()) {
    try {
      set_from_text(*found, value);
      conversation.options().check();
    } catch (const Error&) {
      conversation.options() = before;
      throw;
    }
  }
  say(name + " " + to_text(found->value));
}

void show_help(Conversation& conversation) {
  HelpText help(
      "a line of text, or a /COMMAND",
      "What you type is read by the model, and it goes on from there. Ctrl-C ends an answer.");
  for (const Command& command : commands()) {
    if (command.run == nullptr) {
      help.heading(command.name);
    } else {
      help.row("/" + command.name + (command.argument.empty() ? "" : " " + command.argument),
               command.help);
    }
  }
  help.heading("how answers are drawn, with what is set now (/temperature 0.5 sets another)");
  for (const auto& entry : settings(conversation)) {
    help.row("/" + entry.key + " " + to_text(entry.value), entry.help);
  }
  help.row("/stop " + stops_text(conversation.options().stop),
           "texts that end an answer: /stop TEXT adds one, \\n and \\t understood; /stop none");
  help.heading("this program");
  help.row("/help", "this text");
  help.row("/quit", "end; Ctrl-D does too");
  help.row("//TEXT", "a line of text that begins with one /");
  help.heading("keys");
  help.row("Up, Down, Ctrl-R", "earlier lines; Ctrl-R searches in them");
  help.row("Tab, Alt-Enter", "complete a command; begin a new line");
  help.row("Ctrl-A -E -W -U -K -Y",
           "the line's begin, its end; cut the word before, all before, all after; put it back");
  say(help.text());
}

}  // namespace

std::vector<std::string> commands_like(Conversation& conversation, const std::string& beginning) {
  std::vector<std::string> names = {"stop", "help", "quit"};
  for (const Command& command : commands()) {
    if (command.run != nullptr) names.push_back(command.name);
  }
  for (const auto& entry : settings(conversation)) names.push_back(entry.key);
  std::vector<std::string> found;
  for (const auto& name : names) {
    if (("/" + name).starts_with(beginning)) found.push_back("/" + name);
  }
  std::ranges::sort(found);
  return found;
}

bool run_command(Conversation& conversation, const std::string& line) {
  const auto space = std::min(line.find(' '), line.size());
  const std::string name = line.substr(1, space - 1);
  std::string value = line.substr(std::min(line.find_first_not_of(' ', space), line.size()));
  if (name != "tokens" && name != "stop") value.erase(value.find_last_not_of(' ') + 1);
  if (name == "quit" || name == "exit") return false;
  if (name == "help") {
    show_help(conversation);
    return true;
  }
  if (name == "stop") {
    set_stops(conversation, value);
    return true;
  }
  const auto is_it = [&](const Command& c) { return c.run != nullptr && c.name == name; };
  const auto command = std::ranges::find_if(commands(), is_it);
  if (command == commands().end()) {
    set_setting(conversation, name, value);
    return true;
  }
  if (command->argument.empty() == value.empty()) {
    command->run(conversation, value);
    return true;
  }
  throw Error(ErrorKind::kUsage,
              {.what = "/" + name +
                       (value.empty() ? " wants " + command->argument : " takes nothing after it"),
               .next = "/help lists the commands"});
}

}  // namespace adder::cli
