#include "adder/nn/checkpoint.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

namespace adder::nn {

namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

class Recompute final : public torch::autograd::Node {
 public:
  Recompute(Segment segment, const std::vector<at::Tensor>& inputs,
            const std::vector<at::Tensor>& parameters)
      : segment_(std::move(segment)), parameters_(parameters) {
    for (const at::Tensor& input : inputs) inputs_.emplace_back(input, false);
  }

  std::string name() const override { return "AdderRecompute"; }
  void release_variables() override {
    for (SavedVariable& input : inputs_) input.reset_data();
  }

  variable_list apply(variable_list&& grad_outputs) override {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "activation checkpointing: second derivatives are not provided");
    variable_list inputs;
    for (const SavedVariable& saved : inputs_) {
      const at::Tensor input = saved.unpack();
      inputs.push_back(input.detach().set_requires_grad(input.requires_grad()));
    }
    variable_list outputs, wanted;
    {
      const at::AutoGradMode grad(true);
      outputs = segment_(inputs);
    }
    variable_list roots, root_gradients;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!grad_outputs[i].defined() || !outputs[i].requires_grad()) continue;
      roots.push_back(outputs[i]);
      root_gradients.push_back(grad_outputs[i]);
    }
    for (const at::Tensor& input : inputs) {
      if (input.requires_grad()) wanted.push_back(input);
    }
    wanted.insert(wanted.end(), parameters_.begin(), parameters_.end());
    const variable_list found =
        torch::autograd::grad(roots, wanted, root_gradients, /*retain_graph=*/false,
                              /*create_graph=*/false, /*allow_unused=*/true);
    variable_list result;
    size_t next = 0;
    for (const at::Tensor& input : inputs) {
      result.push_back(input.requires_grad() ? found[next++] : at::Tensor());
    }
    result.insert(result.end(), found.begin() + static_cast<int64_t>(next), found.end());
    return result;
  }

 private:
  Segment segment_;
  std::vector<SavedVariable> inputs_;
  std::vector<at::Tensor> parameters_;
};

}  // namespace

std::vector<at::Tensor> checkpointed(const Segment& segment, const std::vector<at::Tensor>& inputs,
                                     const std::vector<at::Tensor>& parameters) {
  variable_list leaves = inputs;
  leaves.insert(leaves.end(), parameters.begin(), parameters.end());
  if (!torch::autograd::compute_requires_grad(leaves)) return segment(inputs);
  std::shared_ptr<Recompute> node(new Recompute(segment, inputs, parameters),
                                  torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(leaves));
  std::vector<at::Tensor> outputs;
  {
    const at::NoGradGuard no_grad;
    outputs = segment(inputs);
  }
  for (at::Tensor& output : outputs) torch::autograd::set_history(output, node);
  return outputs;
}

}  // namespace adder::nn
