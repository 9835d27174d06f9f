// A foreign config.json as one table of fields, which reading and writing walk alike: a layout is a
// function `void fields(ConfigFields&, ModelConfig&)`.
#pragma once

#include <initializer_list>
#include <limits>
#include <optional>
#include <set>
#include <string>

#include "adder/io/json.h"

namespace adder::model {

/// Beyond every number: "no upper bound" in a range.
inline constexpr double kNoLimit = 1e300;

inline constexpr int64_t kMaxExpand = 1024;
inline constexpr int64_t kDefaultExpand = 2;

/// The field "expand" of `root`, kDefaultExpand where there is none.
int64_t read_expand(const io::JsonView& root);

/// Reading: a field that is missing or null takes its fallback; a value of another type, or out of
/// bounds, is kFormat naming file and field. Writing: every field is written.
class ConfigFields {
 public:
  static constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
  virtual ~ConfigFields() = default;

  /// A positive integer; without `fallback` it must be there.
  virtual void size(const char* key, int64_t& value, std::optional<int64_t> fallback = {},
                    int64_t highest = kAny) = 0;
  /// The widening of a mixer: an integer from 1 to kMaxExpand, which some files write as 2.0.
  virtual void expand(int64_t& value) = 0;
  /// An integer from 0.
  virtual void count(const char* key, int64_t& value, int64_t fallback) = 0;
  /// A positive integer, or nothing (left out, null, "auto"): 0.
  virtual void size_or_none(const char* key, int64_t& value) = 0;
  virtual void number(const char* key, double& value, double fallback) = 0;
  /// A positive number, or nothing: 0.
  virtual void number_or_none(const char* key, double& value) = 0;
  virtual void flag(const char* key, bool& value, bool fallback) = 0;
  virtual void text(const char* key, std::string& value, const char* fallback) = 0;
  /// Two numbers, of which the upper may be Infinity (kNoLimit); left out where they are `lowest`
  /// and `highest`.
  virtual void range(const char* key, double& low, double& high, double lowest, double highest) = 0;
  /// A field with one value that Adder computes; another one is kUnsupported.
  virtual void fixed(const char* key, const io::Json& value) = 0;
};

class FieldReader final : public ConfigFields {
 public:
  explicit FieldReader(io::JsonView object);

  void size(const char* key, int64_t& value, std::optional<int64_t> fallback,
            int64_t highest) override;
  void expand(int64_t& value) override;
  void count(const char* key, int64_t& value, int64_t fallback) override;
  void size_or_none(const char* key, int64_t& value) override;
  void number(const char* key, double& value, double fallback) override;
  void number_or_none(const char* key, double& value) override;
  void flag(const char* key, bool& value, bool fallback) override;
  void text(const char* key, std::string& value, const char* fallback) override;
  void range(const char* key, double& low, double& high, double lowest, double highest) override;
  void fixed(const char* key, const io::Json& value) override;

  /// Throws kConfig for a key that is neither a field read so far nor one of `others`, with the
  /// nearest one that is.
  void refuse_unknown(std::initializer_list<const char*> others) const;

 private:
  io::JsonView object_;
  std::set<std::string> known_;
};

class FieldWriter final : public ConfigFields {
 public:
  explicit FieldWriter(io::Json& object) : object_(&object) {}

  void size(const char* key, int64_t& value, std::optional<int64_t> fallback,
            int64_t highest) override;
  void expand(int64_t& value) override;
  void count(const char* key, int64_t& value, int64_t fallback) override;
  void size_or_none(const char* key, int64_t& value) override;
  void number(const char* key, double& value, double fallback) override;
  void number_or_none(const char* key, double& value) override;
  void flag(const char* key, bool& value, bool fallback) override;
  void text(const char* key, std::string& value, const char* fallback) override;
  void range(const char* key, double& low, double& high, double lowest, double highest) override;
  void fixed(const char* key, const io::Json& value) override;

 private:
  io::Json* object_;
};

/// kUnsupported: the field asks for a computation that Adder does not have.
[[noreturn]] void unsupported_field(const io::JsonView& field, std::string why);

}  // namespace adder::model
