#include "adder/nn/language_model.h"

#include <ATen/ATen.h>

#include "adder/nn/checkpoint.h"
#include "adder/nn/operators.h"

namespace adder::nn {

LanguageModel::LanguageModel(const model::ModelConfig& config, uint64_t seed)
    : config_(config), parameters_(model::tensor_specs(config), seed) {
  for (int64_t layer = 0; layer < config_.n_layer; ++layer) {
    const std::string prefix = "backbone.layers." + std::to_string(layer) + ".";
    Block block{
        parameters_.at(prefix + "norm.weight"), make_mixer(config_, layer, parameters_), {}};
    for (size_t i = 0; i < parameters_.specs().size(); ++i) {
      if (parameters_.specs()[i].name.starts_with(prefix))
        block.parameters.push_back(parameters_.tensors()[i]);
    }
    blocks_.push_back(std::move(block));
  }
}

Tensor LanguageModel::forward(const Tensor& tokens, Context& context,
                              std::vector<State>* carried) const {
  if (carried != nullptr) carried->resize(blocks_.size());
  Tensor hidden =
      at::embedding(parameters_.at("backbone.embeddings.weight"), tokens).to(context.compute);
  Tensor residual;  // the sum of what earlier blocks gave; undefined before the first
  for (size_t layer = 0; layer < blocks_.size(); ++layer) {
    context.layer = static_cast<int64_t>(layer);
    State* state = carried != nullptr ? &(*carried)[layer] : nullptr;
    std::tie(hidden, residual) = run_block(blocks_[layer], hidden, residual, context, state);
  }
  const OptionalTensor sum = residual.defined() ? OptionalTensor(residual) : std::nullopt;
  return std::get<0>(rms_norm(hidden, parameters_.at("backbone.norm_f.weight"), config_.norm_eps,
                              sum, config_.residual_in_fp32));
}

std::pair<Tensor, Tensor> LanguageModel::run_block(const Block& block, const Tensor& hidden,
                                                   const Tensor& residual, Context& context,
                                                   State* carried) const {
  const auto segment = [this, &block, carried](const std::vector<Tensor>& in,
                                               Context& context) -> std::vector<Tensor> {
    const OptionalTensor sum = in.size() > 1 ? OptionalTensor(in[1]) : std::nullopt;
    const auto [normed, new_residual] =
        rms_norm(in[0], block.norm_weight, config_.norm_eps, sum, config_.residual_in_fp32);
    return {block.mixer->forward(normed, context, carried), new_residual};
  };
  std::vector<Tensor> inputs = {hidden};
  if (residual.defined()) inputs.push_back(residual);
  // A carried state is an output that recomputation would replace a second time: it goes the plain
  // way.
  if (!context.checkpoint || carried != nullptr) {
    const auto outputs = segment(inputs, context);
    return {outputs[0], outputs[1]};
  }
  const auto again = [segment, context](const std::vector<Tensor>& in) {
    Context copy = context;
    return segment(in, copy);
  };
  const auto outputs = checkpointed(again, inputs, block.parameters);
  return {outputs[0], outputs[1]};
}

const Tensor& LanguageModel::head() const {
  return parameters_.at(config_.tie_embeddings ? "backbone.embeddings.weight" : "lm_head.weight");
}

Tensor LanguageModel::logits(const Tensor& hidden) const {
  return project(hidden, head());
}

LanguageModel::Loss LanguageModel::loss(const Tensor& hidden, const Tensor& targets, double z_loss,
                                        double label_smoothing) const {
  const auto [nll_sum, n_valid] =
      linear_cross_entropy(hidden.reshape({-1, hidden.size(-1)}), head(), targets.reshape({-1}),
                           z_loss, label_smoothing, "sum");
  return {nll_sum, n_valid};
}

}  // namespace adder::nn
