// One autograd kernel for every operator. An operator NAME(args...) -> (outputs...) that is
// differentiable has a partner
//
//   NAME_backward(Tensor? grad_output..., args..., bool[] needs) -> Tensor[]
//
// which is given the gradients of the floating outputs, the arguments themselves and, for each
// tensor argument, whether its gradient is wanted; it answers one gradient (or an undefined tensor)
// for each tensor argument. The boxed kernel saves the arguments and calls it; nothing else is kept
// between forward and backward, but for an output that holds all there is to know of some arguments
// and is kept instead of them (StandIn).
#pragma once

#include <ATen/core/stack.h>
#include <torch/library.h>

#include <string>
#include <vector>

namespace adder::ops {

/// Where a call has all of `arguments`, its backward pass is given `output` in the place of the
/// last of them, and none of the others.
struct StandIn {
  std::string output;
  std::vector<std::string> arguments;
};

/// Defines `schema` and its _backward partner, with autograd between them.
void define_differentiable(torch::Library& library, const std::string& schema,
                           const StandIn& stand_in = {});

/// The boxed autograd kernel: calls `op` on the stack's arguments below autograd, and lets the
/// backward pass call its partner.
void recompute_in_backward(const c10::OperatorHandle& op, torch::jit::Stack* stack,
                           const StandIn& stand_in = {});

/// Registers the boxed autograd kernel for NAME (to be called in a TORCH_LIBRARY_IMPL of Autograd).
void register_autograd(torch::Library& library, const char* name, const StandIn& stand_in = {});

}  // namespace adder::ops
