// A recipe as the command line makes it: defaults, then the file, then flags; and where each value
// came from.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "adder/cli/arguments.h"
#include "adder/io/json.h"
#include "adder/train/options.h"

namespace adder::cli {

class LoadedRecipe {
 public:
  /// Flags for every key, which win over the file; call before `args.parse`.
  void add_flags(Arguments& args);
  /// After `args.parse`: reads `file` and puts the flags above it. ${NAME} in a text is replaced by
  /// the environment's value. Throws kConfig with FILE:LINE for an unknown key (and the nearest) or
  /// a value that does not fit, and for a variable that is not set.
  void read(const std::filesystem::path& file, const Arguments& args);

  /// After read(): what a flag of another name says of `key`.
  void set(const std::string& key, const std::string& text);

  /// After read(): Recipe::settle(), and what it decides came from "train.overfit".
  void settle();

  train::Recipe recipe;

  /// Where the value of a key came from: "flag", "stories.toml:12", or "" for the default.
  std::string origin(const std::string& key) const;
  /// Every value and where it came from, one line each: "train.lr = 0.003   stories.toml:12".
  std::string print_config();
  /// The same as nested JSON, values only.
  io::Json to_json();

 private:
  std::map<std::string, std::string> origin_;  // by key; missing: the default
};

/// "${HOME}/x" with variables replaced. `where` begins the error for one that is not set.
std::string expand_variables(const std::string& text, const std::string& where);

}  // namespace adder::cli
