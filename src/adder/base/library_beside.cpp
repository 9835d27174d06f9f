#include "adder/base/library_beside.h"

#include <dlfcn.h>

#include <filesystem>

namespace adder {

std::string library_beside(const void* symbol, const std::string& name) {
  namespace fs = std::filesystem;
  Dl_info here{};
  if (dladdr(symbol, &here) == 0 || here.dli_fname == nullptr) return name;
  const fs::path folder = fs::path(here.dli_fname).parent_path();
  const fs::path beside = (folder / name).lexically_normal();
  const fs::path next = (folder / ".." / "lib" / name).lexically_normal();
  return !fs::exists(beside) && fs::exists(next) ? next : beside;
}

}  // namespace adder
