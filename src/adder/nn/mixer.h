// A mixer: what moves information along the sequence. One file a kind; the table is in mixer.cpp.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "adder/nn/context.h"
#include "adder/nn/parameters.h"

namespace adder::nn {

class Mixer {
 public:
  virtual ~Mixer() = default;

  /// x (batch, length, d_model) in the context's compute type, any length >= 1 -> y of the same
  /// shape; at padding it may be anything finite (LanguageModel adds none of it). `carried`: the
  /// state to start from (empty: nothing read yet), replaced by the state after the last token;
  /// nullptr when nobody wants it. Differentiable through the carried state.
  virtual Tensor forward(const Tensor& x, Context& context, State* carried) const = 0;
};

/// The mixer of `layer`, reading "backbone.layers.L.mixer.*" of `parameters`.
std::unique_ptr<Mixer> make_mixer(const model::ModelConfig& config, int64_t layer,
                                  const Parameters& parameters);

}  // namespace adder::nn
