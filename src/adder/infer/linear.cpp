#include "adder/infer/linear.h"

#include "adder/infer/views.h"
#include "adder/kernels/linear.h"

namespace adder::infer {

Linear::Linear(const model::Weights& weights, const std::string& name)
    : weight_(weights.at(name + ".weight")), bias_(SmallTensor::find(weights, name + ".bias")) {}

kernels::View<2> Linear::weight() const {
  return kernels::dense<2>(weight_.data, weight_.dtype, {out(), in()});
}

void Linear::run(const kernels::View<2>& x, const kernels::View<2>& y,
                 const Parallel& parallel) const {
  kernels::linear(x, weight(), vector(bias_, out()), y, parallel);
}

void Linear::product(const kernels::View<2>& x, const kernels::View<2>& y,
                     const Parallel& parallel) const {
  kernels::linear(x, weight(), {}, y, parallel);
}

}  // namespace adder::infer
