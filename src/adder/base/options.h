// Options: one struct with one `describe(visitor)` gives its defaults, its TOML keys, its flags,
// the help text, the table in the docs and the metadata in a checkpoint.
//
//   struct ScheduleOptions {
//     double warmup_steps = 100;
//     void describe(OptionVisitor& v) { v.field("warmup_steps", warmup_steps, "steps of linear
//     warm-up"); }
//   };
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace adder {

/// What one option may hold, by reference.
using OptionRef = std::variant<bool*, int64_t*, double*, std::string*, std::vector<std::string>*,
                               std::vector<double>*>;

class OptionVisitor {
 public:
  virtual ~OptionVisitor() = default;

  template <typename T>
  void field(std::string_view name, T& value, std::string_view help) {
    visit(name, OptionRef(&value), help, {});
  }
  /// A string that must be one of `choices`.
  void choice(std::string_view name, std::string& value, std::vector<std::string> choices,
              std::string_view help) {
    visit(name, OptionRef(&value), help, choices);
  }
  /// A nested struct: its fields are named "name.field".
  template <typename Struct>
  void group(std::string_view name, Struct& options) {
    enter(name);
    options.describe(*this);
    leave();
  }

  virtual void enter(std::string_view group) = 0;
  virtual void leave() = 0;
  virtual void visit(std::string_view name, OptionRef value, std::string_view help,
                     const std::vector<std::string>& choices) = 0;
};

/// One option, flattened: its dotted key, where its value lives, its help and allowed words.
struct OptionEntry {
  std::string key;  // "train.lr"
  OptionRef value;
  std::string help;
  std::vector<std::string> choices;
};

/// All options of a struct in the order of describe(); the references point into `options`.
template <typename Struct>
std::vector<OptionEntry> flatten(Struct& options);

/// Sets one entry from text ("3e-4", "true", "a,b"). Throws kConfig naming the key, the text and
/// what fits.
void set_from_text(const OptionEntry& entry, std::string_view text);

/// The value as text; set_from_text(to_text(v)) is exact.
std::string to_text(const OptionRef& value);

/// The entry named `key`; throws kConfig with the nearest known name when there is none.
const OptionEntry& find_option(const std::vector<OptionEntry>& entries, std::string_view key);

/// The candidate closest to `word` by edit distance, or "" when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// ---------------------------------------------------------------------------------------------------------

/// Collects OptionEntry for flatten().
class OptionCollector final : public OptionVisitor {
 public:
  void enter(std::string_view group) override;
  void leave() override;
  void visit(std::string_view name, OptionRef value, std::string_view help,
             const std::vector<std::string>& choices) override;
  std::vector<OptionEntry> entries;

 private:
  std::string prefix_;
};

template <typename Struct>
std::vector<OptionEntry> flatten(Struct& options) {
  OptionCollector collector;
  options.describe(collector);
  return std::move(collector.entries);
}

}  // namespace adder
