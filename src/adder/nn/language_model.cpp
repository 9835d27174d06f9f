#include "adder/nn/language_model.h"

#include <ATen/ATen.h>

#include "adder/model/tensor_names.h"
#include "adder/nn/checkpoint.h"
#include "adder/nn/operators.h"

namespace adder::nn {

namespace {

Tensor padding_of(const Tensor& seq_idx) {
  if (!seq_idx.defined()) return {};
  const Tensor padding = seq_idx.lt(0);
  return padding.any().item<bool>() ? padding.unsqueeze(-1) : Tensor();
}

}  // namespace

LanguageModel::LanguageModel(const model::ModelConfig& config, uint64_t seed,
                             const model::LoraOptions& lora, const model::Weights* start)
    : config_(config), parameters_(model::tensor_specs(config), seed, start) {
  if (lora.given()) {
    adapters_.emplace(model::lora_specs(config, lora), seed);
    parameters_.adapt(*adapters_, lora.scale());
  }
  for (int64_t layer = 0; layer < config_.n_layer; ++layer) {
    const std::string prefix = model::layer_prefix(layer);
    Block block{parameters_.at(prefix + "norm.weight"),
                make_mixer(config_, layer, parameters_),
                parameters_.find(prefix + "norm2.weight"),
                std::nullopt,
                {}};
    if (config_.mlp.given()) block.mlp.emplace(config_.mlp, parameters_, prefix + "mlp.");
    for (size_t i = 0; i < trained().specs().size(); ++i) {
      if (trained().specs()[i].name.starts_with(prefix))
        block.parameters.push_back(trained().tensors()[i]);
    }
    blocks_.push_back(std::move(block));
  }
}

Tensor LanguageModel::forward(const Tensor& tokens, Context& context,
                              std::vector<State>* carried) const {
  if (carried != nullptr) carried->resize(blocks_.size());
  context.padding = padding_of(context.seq_idx);
  Tensor hidden = at::embedding(parameters_.at(model::kEmbedding), tokens).to(context.compute);
  Tensor residual;  // the sum of what earlier blocks gave; undefined before the first
  for (size_t layer = 0; layer < blocks_.size(); ++layer) {
    context.layer = static_cast<int64_t>(layer);
    State* state = carried != nullptr ? &(*carried)[layer] : nullptr;
    std::tie(hidden, residual) = run_block(blocks_[layer], hidden, residual, context, state);
  }
  const OptionalTensor sum = residual.defined() ? OptionalTensor(residual) : std::nullopt;
  return add_and_norm(hidden, sum, parameters_.at(model::kFinalNorm)).first;
}

std::pair<Tensor, Tensor> LanguageModel::add_and_norm(const Tensor& x,
                                                      const OptionalTensor& residual,
                                                      const Tensor& weight) const {
  const auto [normed, sum] =
      rms_norm(x, weight, config_.norm_eps, residual, config_.residual_in_fp32);
  return {normed, sum};
}

std::pair<Tensor, Tensor> LanguageModel::run_block(const Block& block, const Tensor& hidden,
                                                   const Tensor& residual, Context& context,
                                                   State* carried) const {
  const auto segment = [this, &block, carried](const std::vector<Tensor>& in,
                                               Context& context) -> std::vector<Tensor> {
    const OptionalTensor sum = in.size() > 1 ? OptionalTensor(in[1]) : std::nullopt;
    auto [normed, residual] = add_and_norm(in[0], sum, block.norm_weight);
    // What a branch adds to the residual stream: nothing at padding, whatever its biases.
    const auto without_padding = [&context](const Tensor& y) {
      return context.padding.defined() ? y.masked_fill(context.padding, 0) : y;
    };
    Tensor added = without_padding(block.mixer->forward(normed, context, carried));
    if (block.mlp) {
      std::tie(normed, residual) = add_and_norm(added, residual, *block.mlp_norm_weight);
      added = without_padding(block.mlp->forward(normed));
    }
    return {added, residual};
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
  return parameters_.at(config_.tie_embeddings ? model::kEmbedding : model::kHead);
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
