// For the tests of this room and those above: a folder that goes when the test ends, and what was
// thrown.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "adder/base/error.h"

namespace adder::io::testing {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "adder-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Writes a file into the folder, plainly, and returns its path.
  std::filesystem::path file(const std::string& name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }
  /// Entries of the folder, hidden ones too.
  int entries() const {
    return static_cast<int>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::filesystem::path path_;
};

/// Turns one bit of a file over, in place.
inline void flip(const std::filesystem::path& path, std::size_t bit) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const auto place = static_cast<std::streamoff>(bit / 8);
  file.seekg(place);
  const int byte = file.get();
  file.seekp(place);
  file.put(static_cast<char>(byte ^ (1 << bit % 8)));
}

/// The adder::Error that `action` throws; none when it returns.
template <typename F>
std::optional<Error> error_of(F&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

/// The kind of what is thrown; fails the test when nothing is.
template <typename F>
ErrorKind kind_of(F&& action) {
  const auto error = error_of(action);
  EXPECT_TRUE(error.has_value()) << "nothing was thrown";
  return error ? error->kind() : ErrorKind::kInternal;
}

}  // namespace adder::io::testing
