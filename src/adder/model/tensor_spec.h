// What one parameter tensor is: its name, shape, how it starts and how it trains. Data only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adder/base/draw.h"
#include "adder/base/dtype.h"
#include "adder/base/parallel.h"
#include "adder/model/hippo.h"

namespace adder::model {

using Shape = std::vector<int64_t>;

/// Number of elements; throws kShape when it does not fit 63 bits.
int64_t element_count(const Shape& shape);

/// "[64, 1, 4]"
std::string to_string(const Shape& shape);

/// How a tensor is filled when training starts from nothing.
struct Init {
  enum class Kind {
    kConstant,           // every element a
    kNormal,             // normal, mean 0, standard deviation a
    kUniform,            // uniform in [a, b)
    kLogUniform,         // log of a uniform sample of [a, b): A_log of Mamba-2
    kInverseSoftplusDt,  // softplus^-1(dt), dt log-uniform in [a, b), at least c: dt_bias of Mamba
    kLogArange,          // log(1), log(2), ... along the last dimension: A_log of Mamba-1
    kLogLinspace,        // logs of even steps from a to b along the last dimension
    kHippoStep,          // `size` x `size` matrices, as many as fit: model/hippo.h, dt in [a, b]
    kHippoInput,         // vectors of `size`, the inputs of such matrices
  };
  Kind kind = Kind::kConstant;
  double a = 0, b = 0, c = 0;
  Hippo hippo = Hippo::kLegs;
  int64_t size = 0;
};

/// PyTorch's default of a linear or convolution layer: uniform in +-scale/sqrt(fan_in).
Init uniform_fan_in(int64_t fan_in, double scale = 1);

struct TensorSpec {
  std::string name;  // as in the file: "backbone.layers.0.mixer.in_proj.weight"
  Shape shape;
  Init init;
  bool decay = false;  // weight decay applies
  bool keep_f32 =
      false;  // stays fp32 under bf16 compute (decays, biases, norms; mamba-core section 8)
  bool frozen = false;  // a constant: in files and in totals, never trained
};

/// The tensors of a mixer or an MLP, as their specs list them.
struct TensorList {
  std::vector<TensorSpec> specs;
  /// Takes part in matrix products: decays, and goes along in the compute type.
  void matrix(std::string name, int64_t rows, int64_t columns, Init init) {
    specs.push_back({std::move(name), {rows, columns}, init, /*decay=*/true, /*keep_f32=*/false});
  }
  /// Norms, biases, decays, convolutions: stays f32.
  void small(std::string name, Shape shape, Init init, bool decay = false) {
    specs.push_back({std::move(name), std::move(shape), init, decay, /*keep_f32=*/true});
  }
};

/// A borrowed tensor, dense and row-major.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;
};

/// What to draw for the elements of a tensor, one by one: nothing for other kinds than kNormal and
/// kUniform.
std::optional<Draw> draw_of(const TensorSpec& spec, uint64_t seed);

/// Fills `out` (element_count(spec.shape) floats). A pure function of (spec, seed): the tensor's
/// name chooses its random stream, so adding a layer does not change another's start.
void initialise(const TensorSpec& spec, uint64_t seed, float* out,
                const Parallel& parallel = Serial());

}  // namespace adder::model
