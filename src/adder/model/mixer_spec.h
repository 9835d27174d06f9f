// What a mixer is, as data: its options, its tensors, its state. `nn` and `infer` are two readings
// of it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adder/base/options.h"
#include "adder/model/tensor_spec.h"

namespace adder::model {

/// One array of a mixer's recurrent state, for one sequence.
struct StateSpec {
  std::string name;  // "conv", "ssm"
  Shape shape;       // without the batch dimension
  DType dtype = DType::f32;
  /// Its first dimension is the number of tokens seen; shape[0] then says how many rows are kept at
  /// most (the last ones), 0: all.
  bool grows = false;
};

/// Where in a model a mixer sits.
struct LayerPlace {
  int64_t d_model = 0;
  int64_t layer = 0;    // from 0
  int64_t n_layer = 1;  // depth of the stack
  // What a layer adds to the residual stream: the mixer, or it and an MLP; 0: there is none.
  int64_t branches = 1;

  /// Factor of the start of what adds to the residual stream, so that its variance does not grow
  /// with depth (GPT-2, section 2.3; mamba-core 2.5).
  double output_scale() const;
};

class MixerSpec {
 public:
  virtual ~MixerSpec() = default;
  /// The name in a layer pattern, in config files and in the tables of nn and infer: "mamba2".
  virtual std::string_view kind() const = 0;
  virtual std::unique_ptr<MixerSpec> clone() const = 0;
  virtual void describe(OptionVisitor& visitor) = 0;
  /// Throws kConfig naming the option when the options do not fit each other or d_model.
  virtual void check(const LayerPlace& place) const = 0;
  /// Width of what it gives. Only the last mixer of a model without residual stream, norms and MLPs
  /// may give another one than d_model.
  virtual int64_t d_out(const LayerPlace& place) const { return place.d_model; }
  /// Names are relative to the mixer: "in_proj.weight".
  virtual std::vector<TensorSpec> tensors(const LayerPlace& place) const = 0;
  virtual std::vector<StateSpec> states(const LayerPlace& place) const = 0;
  /// Multiply-adds x 2 of the forward pass for one token in a sequence of `length`, matrix products
  /// included.
  virtual double forward_flops(const LayerPlace& place, int64_t length) const = 0;
};

/// Every mixer kind by name, with default options. Copies deeply.
class MixerSet {
 public:
  MixerSet();
  MixerSet(const MixerSet& other);
  MixerSet& operator=(const MixerSet& other);
  MixerSet(MixerSet&&) = default;
  MixerSet& operator=(MixerSet&&) = default;

  /// Throws kConfig with the nearest known name.
  const MixerSpec& at(std::string_view kind) const;
  MixerSpec& at(std::string_view kind);
  std::vector<std::string> kinds() const;
  /// One group for each kind: "mamba2.d_state", ...
  void describe(OptionVisitor& visitor);

 private:
  std::map<std::string, std::unique_ptr<MixerSpec>, std::less<>> specs_;
};

}  // namespace adder::model
