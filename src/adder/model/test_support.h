// For this room's tests.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "adder/io/json.h"
#include "adder/io/testing.h"
#include "adder/model/config.h"

namespace adder::model::testing {

inline const std::filesystem::path kGolden =
    std::filesystem::path(ADDER_SOURCE_DIR) / "tests/golden";

/// Every option as text: equal texts are equal configs.
inline std::string options_of(ModelConfig config) {
  std::string text;
  for (const OptionEntry& entry : flatten(config)) {
    text += entry.key + "=" + to_text(entry.value) + "\n";
  }
  return text;
}

inline std::map<std::string, TensorSpec> tensors_by_name(const std::vector<TensorSpec>& tensors) {
  std::map<std::string, TensorSpec> by_name;
  for (const TensorSpec& tensor : tensors) {
    EXPECT_TRUE(by_name.emplace(tensor.name, tensor).second) << tensor.name << " twice";
  }
  return by_name;
}

/// Sets options by their keys: {{"mamba1.d_state", "8"}}.
inline ModelConfig with(ModelConfig config,
                        std::initializer_list<std::pair<const char*, const char*>> options) {
  for (const auto& [key, value] : options) set_from_text(find_option(flatten(config), key), value);
  config.check();
  return config;
}

/// `json` with the members of `patch`, a JSON text.
inline io::Json patched(io::Json json, const std::string& patch) {
  json.update(io::parse_json(patch, "patch"));
  return json;
}

/// Fails unless `action` throws an error of `kind` whose text holds `part`.
template <typename F>
void expect_error(F&& action, ErrorKind kind, const std::string& part) {
  const auto error = io::testing::error_of(action);
  ASSERT_TRUE(error) << "nothing was thrown, expected: " << part;
  EXPECT_EQ(error->kind(), kind) << error->what();
  EXPECT_NE(std::string(error->what()).find(part), std::string::npos)
      << error->what() << "\nexpected: " << part;
}

}  // namespace adder::model::testing
