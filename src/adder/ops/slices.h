// A tensor cut along its last dimension into parts that several operators read, so that on a device
// their gradients are written where they belong in the gradient of the whole: joining them
// afterwards would move every byte once more.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace adder::ops {

using at::Tensor;

/// Parts of x (..., width), part i of the shape (..., shapes[i]...): the widths, which are the
/// products of the shapes, add up to that of x. Differentiable; the parts are views of x, and as
/// such must not be written to.
std::vector<Tensor> slices(const Tensor& x, const std::vector<std::vector<int64_t>>& shapes);

/// Memory for the gradient of `input`, in its type and shape. Where `input` is a part that slices()
/// made on a device, the place of that part in the gradient of the whole, with its strides; else
/// dense and new.
Tensor empty_gradient(const Tensor& input);

}  // namespace adder::ops
