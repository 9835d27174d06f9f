// What a verb takes on its command line: flags out of option structs, positional words, --help.
#pragma once

#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adder/base/options.h"

namespace adder::cli {

/// The words after a verb.
using Words = std::span<const std::string>;

class Arguments {
 public:
  /// `usage`: "generate MODEL [flags]". `examples`: whole command lines.
  Arguments(std::string usage, std::string summary, std::vector<std::string> examples);

  /// A flag --NAME for each entry: its key, with "-" for "_" unless it is dotted. A bool without a
  /// dot is set by the bare flag; a dotted one too, or it takes true or false. A list may be given
  /// several times or with commas.
  void options(std::vector<OptionEntry> entries);

  template <typename T>
  void option(std::string_view name, T& value, std::string_view help) {
    options({{std::string(name), OptionRef(&value), std::string(help), {}}});
  }
  void choice(std::string_view name, std::string& value, std::vector<std::string> choices,
              std::string_view help) {
    options({{std::string(name), OptionRef(&value), std::string(help), std::move(choices)}});
  }

  /// A flag that may be given several times; each text is taken as it is, commas included.
  void texts(std::string_view name, std::vector<std::string>& value, std::string_view help);

  /// "-p" for the flag of this key.
  void short_name(char letter, std::string_view key);

  /// A word that must be there; they are taken in the order of these calls. `name` in capitals.
  void positional(std::string_view name, std::string& value, std::string_view help);
  /// One word or more, as the last of the positional ones.
  void positionals(std::string_view name, std::vector<std::string>& values, std::string_view help);

  /// Sets what `words` give. False when they ask for help, which was printed. Throws kUsage with
  /// the nearest known flag, kConfig for a value that does not fit.
  bool parse(Words words);

  /// Whether parse() saw the flag of this key.
  bool given(std::string_view key) const;
  /// Throws kUsage when one of these was not given.
  void need(std::initializer_list<std::string_view> keys) const;

 private:
  struct Positional {
    std::string name;
    std::string help;
    std::string* value = nullptr;                // one word, or
    std::vector<std::string>* values = nullptr;  // all that follow
  };
  std::string help_text() const;
  [[noreturn]] void refuse(const std::string& what, const std::string& next = {}) const;
  [[noreturn]] void refuse_extra(const std::string& word) const;

  std::string usage_;
  std::string summary_;
  std::vector<std::string> examples_;
  std::vector<OptionEntry> options_;
  std::vector<std::string> defaults_;  // of options_, as text
  std::vector<Positional> positionals_;
  std::vector<std::string> verbatim_;                            // keys of texts()
  std::map<std::string, std::string, std::less<>> short_names_;  // "-p" of a key
  std::vector<std::string> given_;
};

}  // namespace adder::cli
