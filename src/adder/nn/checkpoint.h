// Activation checkpointing (Chen et al., arXiv 1604.06174): run a segment without keeping what its
// backward pass needs, and run it again when that pass comes.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace adder::nn {

using Segment = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

/// segment(inputs), keeping the inputs alone. `parameters`: the leaves the segment reads beside its
/// inputs; they get their gradients as if there had been no checkpoint. The segment must be
/// deterministic.
std::vector<at::Tensor> checkpointed(const Segment& segment, const std::vector<at::Tensor>& inputs,
                                     const std::vector<at::Tensor>& parameters);

}  // namespace adder::nn
