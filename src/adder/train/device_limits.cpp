#include "adder/train/device_limits.h"

#include <string>

#include "adder/base/error.h"

namespace adder::train {

void check_for_device(const model::ModelConfig& config, bool documents) {
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    const std::string kind(config.mixer(layer).kind());
    if (kind == "mamba2" || (kind == "softmax" && !documents)) continue;
    const std::string what = kind == "softmax" ? " with several documents in a row" : "";
    throw Error(ErrorKind::kUnsupported,
                {.what = "the mixer " + kind + what + " is not trained on a device yet",
                 .where = "train.device = cuda, layer " + std::to_string(layer),
                 .next = "set train.device = cpu"});
  }
}

}  // namespace adder::train
