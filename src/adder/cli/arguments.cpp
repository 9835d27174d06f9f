#include "adder/cli/arguments.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>

#include "adder/base/error.h"
#include "adder/base/list_text.h"
#include "adder/cli/help.h"
#include "adder/cli/output.h"

namespace adder::cli {
namespace {

bool is_bare(const OptionEntry& entry) {
  return std::holds_alternative<bool*>(entry.value) && entry.key.find('.') == std::string::npos;
}

bool is_bool(const OptionEntry& entry) {
  return std::holds_alternative<bool*>(entry.value);
}

bool is_list(const OptionEntry& entry) {
  return std::holds_alternative<std::vector<std::string>*>(entry.value) ||
         std::holds_alternative<std::vector<double>*>(entry.value);
}

/// "--max-new-tokens", "--train.batch_size"
std::string flag_of(const OptionEntry& entry) {
  std::string name = entry.key;
  if (name.find('.') == std::string::npos) std::ranges::replace(name, '_', '-');
  return "--" + name;
}

/// Errors then name the flag, not the key.
void set(const OptionEntry& entry, const std::string& text) {
  OptionEntry named = entry;
  named.key = flag_of(entry);
  set_from_text(named, text);
}

}  // namespace

Arguments::Arguments(std::string usage, std::string summary, std::vector<std::string> examples)
    : usage_(std::move(usage)), summary_(std::move(summary)), examples_(std::move(examples)) {}

void Arguments::options(std::vector<OptionEntry> entries) {
  for (auto& entry : entries) {
    defaults_.push_back(to_text(entry.value));
    options_.push_back(std::move(entry));
  }
}

void Arguments::texts(std::string_view name, std::vector<std::string>& value,
                      std::string_view help) {
  verbatim_.emplace_back(name);
  option(name, value, std::string(help) + "; may be given several times");
}

void Arguments::short_name(char letter, std::string_view key) {
  short_names_[std::string(key)] = std::string("-") + letter;
}

void Arguments::positional(std::string_view name, std::string& value, std::string_view help) {
  positionals_.push_back({.name = std::string(name), .help = std::string(help), .value = &value});
}

void Arguments::positionals(std::string_view name, std::vector<std::string>& values,
                            std::string_view help) {
  positionals_.push_back({.name = std::string(name), .help = std::string(help), .values = &values});
}

bool Arguments::given(std::string_view key) const {
  return std::ranges::find(given_, key) != given_.end();
}

void Arguments::need(std::initializer_list<std::string_view> keys) const {
  for (const auto key : keys) {
    if (!given(key)) refuse("--" + std::string(key) + " is missing");
  }
}

void Arguments::refuse(const std::string& what, const std::string& next) const {
  throw Error(ErrorKind::kUsage, {.what = what,
                                  .where = "adder " + usage_,
                                  .next = next.empty() ? "see what it takes with --help" : next});
}

void Arguments::refuse_extra(const std::string& word) const {
  if (word.size() < 2 || word[0] != '-') {
    refuse("one word too many: \"" + word + "\"", "put quotes around a text with spaces");
  }
  const auto flag = word.substr(0, word.find('='));
  std::vector<std::string> known = {"--help"};
  for (const auto& entry : options_) known.push_back(flag_of(entry));
  const auto near = nearest(flag, known);
  refuse("unknown flag " + flag, near.empty() ? "" : "did you mean " + near + "?");
}

bool Arguments::parse(Words words) {
  constexpr int kMostWords = 1 << 20;
  CLI::App app;
  app.set_help_flag("-h,--help");
  app.allow_extras();
  for (const auto& entry : options_) {
    const auto keep = [](const CLI::results_t&) { return true; };
    const auto short_name = short_names_.find(entry.key);
    const auto names =
        (short_name == short_names_.end() ? "" : short_name->second + ",") + flag_of(entry);
    auto* option = is_bare(entry) ? app.add_flag(names) : app.add_option(names, keep);
    if (is_bool(entry) && !is_bare(entry)) option->expected(0, 1);
    if (is_list(entry)) option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  for (const auto& word : positionals_) {
    auto* option = app.add_option(word.name, [](const CLI::results_t&) { return true; });
    if (word.values != nullptr) option->expected(1, kMostWords)->allow_extra_args();
  }
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::CallForHelp&) {
    print(help_text());
    return false;
  } catch (const CLI::ParseError& error) {
    refuse(error.what());
  }
  if (const auto rest = app.remaining(); !rest.empty()) {
    const auto flag = std::ranges::find_if(rest, [](const auto& w) { return w.starts_with("-"); });
    refuse_extra(flag != rest.end() ? *flag : rest.front());
  }
  for (const auto& word : positionals_) {
    const auto& results = app.get_option(word.name)->results();
    if (results.empty()) refuse(word.name + " is missing");
    if (word.value != nullptr) *word.value = results.front();
    if (word.values != nullptr) *word.values = results;
  }
  for (const auto& entry : options_) {
    const auto& results = app.get_option(flag_of(entry))->results();
    if (results.empty()) continue;
    given_.push_back(entry.key);
    const bool verbatim = std::ranges::find(verbatim_, entry.key) != verbatim_.end();
    if (is_bool(entry) && results.back().empty()) {  // it stands alone
      set(entry, "true");
      continue;
    }
    const auto list = verbatim ? join_list(results) : join(results, ",");
    set(entry, is_list(entry) ? list : results.back());
  }
  return true;
}

std::string Arguments::help_text() const {
  HelpText help("adder " + usage_, summary_);
  if (!positionals_.empty()) help.heading("words");
  for (const auto& word : positionals_) help.row(word.name, word.help);
  help.heading("flags");
  for (std::size_t i = 0; i < options_.size(); ++i) {
    const auto& entry = options_[i];
    std::string note = entry.help;
    if (!entry.choices.empty()) note += ": " + join(entry.choices, " | ");
    if (!is_bare(entry) && !defaults_[i].empty()) note += " (default " + defaults_[i] + ")";
    const bool verbatim = std::ranges::find(verbatim_, entry.key) != verbatim_.end();
    const std::string word = is_bare(entry) ? "" : verbatim ? " TEXT" : " " + value_word(entry);
    const auto short_name = short_names_.find(entry.key);
    const auto names =
        (short_name == short_names_.end() ? "" : short_name->second + ", ") + flag_of(entry);
    help.row(names + word, note);
  }
  help.row("--help", "this text");
  if (!examples_.empty()) help.heading("examples");
  for (const auto& example : examples_) help.line(example);
  return help.text();
}

}  // namespace adder::cli
