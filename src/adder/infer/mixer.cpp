#include "adder/infer/mixer.h"

#include <map>

#include "adder/base/error.h"
#include "adder/infer/mamba1.h"
#include "adder/infer/mamba2.h"
#include "adder/infer/softmax.h"
#include "adder/infer/word_ssm.h"

namespace adder::infer {
namespace {

using Maker = std::unique_ptr<Mixer> (*)(const model::ModelConfig&, int64_t, const model::Weights&);

/// Every kind that has a file here: one line each.
const std::map<std::string_view, Maker>& makers() {
  static const std::map<std::string_view, Maker> table = {
      {"mamba1", make_mamba1},
      {"mamba2", make_mamba2},
      {"softmax", make_softmax},
      {"word_ssm", make_word_ssm},
  };
  return table;
}

}  // namespace

std::unique_ptr<Mixer> make_mixer(const model::ModelConfig& config, int64_t layer,
                                  const model::Weights& weights) {
  const std::string_view kind = config.mixer(layer).kind();
  if (const auto found = makers().find(kind); found != makers().end()) {
    return found->second(config, layer, weights);
  }
  throw Error(ErrorKind::kUnsupported,
              {.what = "the mixer '" + std::string(kind) + "' cannot run token by token yet",
               .where = "layer " + std::to_string(layer)});
}

}  // namespace adder::infer
