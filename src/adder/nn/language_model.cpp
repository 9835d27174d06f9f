#include "adder/nn/language_model.h"

#include <ATen/ATen.h>

#include "adder/model/tensor_names.h"
#include "adder/nn/checkpoint.h"
#include "adder/nn/operators.h"

namespace adder::nn {

namespace {

Tensor padding_of(const Context& context) {
  if (!context.seq_idx.defined() || context.has_padding == false) return {};
  const Tensor padding = context.seq_idx.lt(0);
  const bool known = context.has_padding.has_value();
  return known || padding.any().item<bool>() ? padding.unsqueeze(-1) : Tensor();
}

}  // namespace

LanguageModel::LanguageModel(const model::ModelConfig& config, uint64_t seed,
                             const model::LoraOptions& lora, const model::Weights* start,
                             const Placement& placement)
    : config_(config), parameters_(model::tensor_specs(config), seed, start, placement) {
  if (lora.given()) {
    adapters_.emplace(model::lora_specs(config, lora), seed, nullptr, placement);
    parameters_.adapt(*adapters_, lora.scale());
  }
  for (int64_t layer = 0; layer < config_.n_layer; ++layer) {
    const std::string prefix = model::layer_prefix(layer);
    Block block{parameters_.find(prefix + "norm.weight"),
                make_mixer(config_, layer, parameters_),
                parameters_.find(prefix + "norm2.weight"),
                std::nullopt,
                {}};
    if (config_.mlp.given()) block.mlp.emplace(config_.mlp, parameters_, prefix + "mlp.");
    for (size_t i = 0; i < trained().specs().size(); ++i) {
      const model::TensorSpec& spec = trained().specs()[i];
      if (spec.name.starts_with(prefix) && !spec.frozen)
        block.parameters.push_back(trained().leaf(i));
    }
    blocks_.push_back(std::move(block));
  }
}

Tensor LanguageModel::forward(const Tensor& tokens, Context& context,
                              std::vector<State>* carried) const {
  if (carried != nullptr) carried->resize(blocks_.size());
  context.padding = padding_of(context);
  Tensor hidden = embedding(parameters_.at(model::kEmbedding), tokens, context.compute);
  Tensor residual;  // the sum of what earlier blocks gave; undefined before the first
  for (size_t layer = 0; layer < blocks_.size(); ++layer) {
    context.layer = static_cast<int64_t>(layer);
    State* state = carried != nullptr ? &(*carried)[layer] : nullptr;
    std::tie(hidden, residual) = run_block(blocks_[layer], hidden, residual, context, state);
  }
  return add_and_norm(hidden, residual, parameters_.find(model::kFinalNorm)).first;
}

std::pair<Tensor, Tensor> LanguageModel::add_and_norm(const Tensor& x, const Tensor& residual,
                                                      const OptionalTensor& weight) const {
  if (!weight) {
    if (!config_.residual) return {x, {}};
    const bool widen = config_.residual_in_fp32 && x.scalar_type() == at::kBFloat16;
    const Tensor wide = widen ? x.to(at::kFloat) : x;
    // A copy, not x itself: recomputation gives its outputs a history of their own.
    const Tensor sum = residual.defined() ? wide + residual : wide.clone();
    return {sum.to(x.scalar_type()), sum};
  }
  const OptionalTensor before = residual.defined() ? OptionalTensor(residual) : std::nullopt;
  const auto [normed, sum] =
      rms_norm(x, *weight, config_.norm_eps, before, config_.residual_in_fp32);
  return {normed, config_.residual ? sum : Tensor()};
}

std::pair<Tensor, Tensor> LanguageModel::run_block(const Block& block, const Tensor& hidden,
                                                   const Tensor& residual, Context& context,
                                                   State* carried) const {
  const auto segment = [this, &block, carried](const std::vector<Tensor>& in,
                                               Context& context) -> std::vector<Tensor> {
    auto [normed, residual] =
        add_and_norm(in[0], in.size() > 1 ? in[1] : Tensor(), block.norm_weight);
    // What a branch adds to the residual stream: nothing at padding, whatever its biases.
    const auto without_padding = [&context](const Tensor& y) {
      return context.padding.defined() ? y.masked_fill(context.padding, 0) : y;
    };
    Tensor added = without_padding(block.mixer->forward(normed, context, carried));
    if (block.mlp) {
      std::tie(normed, residual) = add_and_norm(added, residual, block.mlp_norm_weight);
      added = without_padding(block.mlp->forward(normed));
    }
    if (residual.defined()) return {added, residual};
    return {added};
  };
  const auto pair = [](const std::vector<Tensor>& out) {
    return std::pair(out[0], out.size() > 1 ? out[1] : Tensor());
  };
  std::vector<Tensor> inputs = {hidden};
  if (residual.defined()) inputs.push_back(residual);
  // A carried state is an output that recomputation would replace a second time: it goes the plain
  // way.
  if (!context.checkpoint || carried != nullptr) {
    return pair(segment(inputs, context));
  }
  const auto again = [segment, context](const std::vector<Tensor>& in) {
    Context copy = context;
    return segment(in, copy);
  };
  return pair(checkpointed(again, inputs, block.parameters));
}

const Tensor& LanguageModel::head() const {
  return parameters_.read(config_.tie_embeddings ? model::kEmbedding : model::kHead);
}

Tensor LanguageModel::logits(const Tensor& hidden) const {
  return project(hidden, head(), parameters_.find(model::kHeadBias));
}

LanguageModel::Loss LanguageModel::loss(const Tensor& hidden, const Tensor& targets, double z_loss,
                                        double label_smoothing) const {
  const auto [nll_sum, n_valid] = linear_cross_entropy(
      hidden.reshape({-1, hidden.size(-1)}), head(), parameters_.find(model::kHeadBias),
      targets.reshape({-1}), z_loss, label_smoothing, "sum");
  return {nll_sum, n_valid};
}

}  // namespace adder::nn
