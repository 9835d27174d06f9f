#include "adder/nn/mixer.h"

#include "adder/base/error.h"
#include "adder/nn/mamba1.h"
#include "adder/nn/mamba2.h"
#include "adder/nn/softmax.h"
#include "adder/nn/word_ssm.h"

namespace adder::nn {

namespace {

using Maker = std::unique_ptr<Mixer> (*)(const model::MixerSpec&, const model::LayerPlace&,
                                         const Parameters&, const std::string& prefix);

template <typename Spec, typename Kind>
std::unique_ptr<Mixer> make(const model::MixerSpec& spec, const model::LayerPlace& place,
                            const Parameters& parameters, const std::string& prefix) {
  return std::make_unique<Kind>(static_cast<const Spec&>(spec), place, parameters, prefix);
}

// A line for each kind.
const std::map<std::string_view, Maker> kMakers = {
    {"mamba1", &make<model::Mamba1Spec, Mamba1>},
    {"mamba2", &make<model::Mamba2Spec, Mamba2>},
    {"softmax", &make<model::SoftmaxSpec, Softmax>},
    {"word_ssm", &make_word_ssm},
};

}  // namespace

std::unique_ptr<Mixer> make_mixer(const model::ModelConfig& config, int64_t layer,
                                  const Parameters& parameters) {
  const model::MixerSpec& spec = config.mixer(layer);
  const auto found = kMakers.find(spec.kind());
  if (found == kMakers.end()) {
    throw Error(ErrorKind::kUnsupported,
                {.what = "the mixer '" + std::string(spec.kind()) + "' cannot be trained yet"});
  }
  return found->second(spec, config.place(layer), parameters, model::mixer_prefix(layer));
}

}  // namespace adder::nn
