#include "adder/cli/eval_result.h"

#include "adder/base/version.h"

namespace adder::cli {

void describe_run(io::Json& result, const LoadedModel& loaded,
                  const std::vector<std::string>& files,
                  std::chrono::steady_clock::time_point start) {
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  result["model"] = loaded.folder.string();
  result["adder"] = kVersion;
  result["tokenizer"] = loaded.tokenizer ? io::Json(loaded.tokenizer->hash()) : io::Json();
  result["files"] = files;
  result["seconds"] = time.count();
}

}  // namespace adder::cli
