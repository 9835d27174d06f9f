#include "adder/cli/model_line.h"

#include <fmt/format.h>

#include "adder/cli/help.h"
#include "adder/cli/output.h"

namespace adder::cli {

StateSize state_size(const model::ModelConfig& config) {
  StateSize size;
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    for (model::StateSpec spec : config.mixer(layer).states(config.place(layer))) {
      const bool endless = spec.grows && spec.shape[0] == 0;
      if (endless) spec.shape[0] = 1;
      (endless ? size.bytes_per_token : size.bytes) +=
          model::element_count(spec.shape) * size_of(spec.dtype);
    }
  }
  return size;
}

std::string describe_model(const LoadedModel& loaded) {
  const model::ModelConfig& config = loaded.model.config();
  std::vector<std::string> layers;
  for (int64_t layer = 0; layer < config.n_layer;) {
    const auto kind = config.mixer(layer).kind();
    int64_t run = 1;
    while (layer + run < config.n_layer && config.mixer(layer + run).kind() == kind) ++run;
    layers.push_back(fmt::format("{} x {}", run, kind));
    layer += run;
  }
  constexpr std::size_t kMostRuns = 4;
  if (layers.size() > kMostRuns) {
    layers.resize(kMostRuns);
    layers.emplace_back("...");
  }
  const StateSize state = state_size(config);
  std::string text = fmt::format("{}, {} parameters", join(layers, " + "),
                                 short_number(static_cast<double>(model::parameter_count(config))));
  if (loaded.tokenizer) {
    text += fmt::format(", {} tokens ({})",
                        short_number(static_cast<double>(loaded.tokenizer->vocab_size())),
                        loaded.tokenizer->kind());
  }
  if (state.bytes_per_token == 0) {
    return text +
           fmt::format(", constant state of {}", short_bytes(static_cast<double>(state.bytes)));
  }
  return text + fmt::format(", state growing by {} a token",
                            short_bytes(static_cast<double>(state.bytes_per_token)));
}

}  // namespace adder::cli
