#include "adder/ops/autograd.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace adder::ops {

namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

bool is_differentiable(const at::Tensor& tensor) {
  return tensor.defined() && at::isFloatingType(tensor.scalar_type());
}

/// Calls NAME_backward on the saved arguments.
class BackwardNode final : public torch::autograd::Node {
 public:
  BackwardNode(const c10::OperatorHandle& forward, at::ArrayRef<c10::IValue> arguments)
      : backward_(c10::Dispatcher::singleton().findSchemaOrThrow(
            (forward.schema().name() + "_backward").c_str(), "")) {
    for (const c10::IValue& argument : arguments) {
      const bool tensor = argument.isTensor() && argument.toTensor().defined();
      tensors_.emplace_back(tensor ? SavedVariable(argument.toTensor(), false) : SavedVariable());
      others_.push_back(tensor ? c10::IValue() : argument);
      is_tensor_.push_back(tensor);
    }
  }

  /// Keeps `output`, which this node is the history of, in the place of the last of the arguments
  /// `places`, and forgets the others. Nothing where one of them was not given.
  void keep_instead(const std::vector<size_t>& places, const at::Tensor& output) {
    if (!std::all_of(places.begin(), places.end(), [&](size_t i) { return is_tensor_.at(i); }))
      return;
    for (const size_t i : places) tensors_[i] = SavedVariable();
    tensors_[places.back()] = SavedVariable(output, /*is_output=*/true);
  }

  std::string name() const override { return backward_.schema().name(); }

  void release_variables() override {
    for (SavedVariable& tensor : tensors_) tensor.reset_data();
  }

  variable_list apply(variable_list&& output_gradients) override {
    TORCH_CHECK(!at::GradMode::is_enabled(), name(), ": second derivatives are not provided");
    const auto given = [](const at::Tensor& gradient) { return gradient.defined(); };
    if (std::none_of(output_gradients.begin(), output_gradients.end(), given)) {
      return variable_list(static_cast<size_t>(num_outputs()));
    }
    torch::jit::Stack stack;
    for (const at::Tensor& gradient : output_gradients) {
      stack.push_back(gradient.defined() ? c10::IValue(gradient) : c10::IValue());
    }
    c10::List<bool> needs;
    size_t edge = 0;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const at::Tensor kept = tensors_[i].unpack(getptr());
      stack.push_back(kept.defined() ? c10::IValue(kept) : others_[i]);
      if (is_tensor_argument(i, output_gradients.size())) {
        needs.push_back(is_tensor_[i] && task_should_compute_output(edge++));
      }
    }
    stack.emplace_back(needs);
    backward_.callBoxed(stack);
    const std::vector<at::Tensor> gradients = stack.back().toTensorVector();
    variable_list result;
    for (size_t i = 0, slot = 0; i < tensors_.size(); ++i) {
      if (!is_tensor_argument(i, output_gradients.size())) continue;
      if (is_tensor_[i]) result.push_back(gradients.at(slot));
      ++slot;
    }
    return result;
  }

 private:
  /// Whether argument i of the forward schema is a Tensor or Tensor?.
  bool is_tensor_argument(size_t i, size_t n_gradients) const {
    const auto& type = backward_.schema().arguments().at(i + n_gradients).type();
    return type->isSubtypeOf(*c10::OptionalType::ofTensor());
  }

  c10::OperatorHandle backward_;
  std::vector<SavedVariable> tensors_;  // one for each argument; empty where none is kept
  std::vector<c10::IValue> others_;
  std::vector<bool> is_tensor_;
};

/// recompute_in_backward as LibTorch calls it.
class Recompute final : public c10::OperatorKernel {
 public:
  explicit Recompute(const StandIn& stand_in) : stand_in_(stand_in) {}
  void operator()(const c10::OperatorHandle& op, c10::DispatchKeySet,
                  torch::jit::Stack* stack) const {
    recompute_in_backward(op, stack, stand_in_);
  }

 private:
  StandIn stand_in_;
};

/// Where each of `names` is among the arguments.
std::vector<size_t> places_of(const std::vector<std::string>& names,
                              const c10::FunctionSchema& schema) {
  std::vector<size_t> places;
  for (const std::string& name : names) {
    const std::optional<int> place = schema.argumentIndexWithName(name);
    TORCH_INTERNAL_ASSERT(place, name, " is no argument of ", schema.name());
    places.push_back(static_cast<size_t>(*place));
  }
  return places;
}

}  // namespace

void recompute_in_backward(const c10::OperatorHandle& op, torch::jit::Stack* stack,
                           const StandIn& stand_in) {
  const size_t n_arguments = op.schema().arguments().size();
  const size_t n_outputs = op.schema().returns().size();
  std::vector<at::Tensor> inputs;
  for (const c10::IValue& argument : torch::jit::last(*stack, n_arguments)) {
    if (argument.isTensor() && argument.toTensor().defined()) inputs.push_back(argument.toTensor());
  }
  std::shared_ptr<BackwardNode> node;
  if (torch::autograd::compute_requires_grad(inputs)) {
    node = std::shared_ptr<BackwardNode>(
        new BackwardNode(op, torch::jit::last(*stack, n_arguments)), torch::autograd::deleteNode);
    node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  }
  {
    at::AutoDispatchBelowADInplaceOrView below;
    op.callBoxed(stack);
  }
  if (!node) return;
  for (size_t i = 0; i < n_outputs; ++i) {
    const at::Tensor& output = torch::jit::peek(*stack, i, n_outputs).toTensor();
    if (is_differentiable(output)) torch::autograd::set_history(output, node);
    if (!stand_in.arguments.empty() && op.schema().returns()[i].name() == stand_in.output)
      node->keep_instead(places_of(stand_in.arguments, op.schema()), output);
  }
}

void define_differentiable(torch::Library& library, const std::string& schema,
                           const StandIn& stand_in) {
  library.def(schema.c_str());
  const size_t open = schema.find('(');
  const size_t arrow = schema.find(" -> ");
  const std::string name = schema.substr(0, open);
  std::string arguments = schema.substr(open + 1, schema.rfind(')', arrow) - open - 1);
  for (const std::string& argument : stand_in.arguments) {
    const size_t at = arguments.find("Tensor " + argument + ",");
    if (at != std::string::npos) arguments.insert(at + 6, "?");  // it may be absent
  }
  std::string gradients;  // one for each floating output
  std::string outputs = schema.substr(arrow + 4);
  for (size_t at = outputs.find("Tensor "); at != std::string::npos;
       at = outputs.find("Tensor ", at + 1)) {
    const size_t end = outputs.find_first_of(",)", at);
    const std::string output = outputs.substr(at + 7, end - at - 7);
    if (output != "n_valid") gradients += "Tensor? grad_" + output + ", ";
  }
  library.def(
      (name + "_backward(" + gradients + arguments + ", bool[] needs) -> Tensor[]").c_str());
}

void register_autograd(torch::Library& library, const char* name, const StandIn& stand_in) {
  library.impl(name,
               torch::CppFunction::makeFromBoxedFunctor(std::make_unique<Recompute>(stand_in)));
}

}  // namespace adder::ops
