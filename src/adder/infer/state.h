// The recurrent state of one sequence: every array its model's mixers describe, in one block of
// memory. A copy is a snapshot; restoring is assignment.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "adder/model/config.h"

namespace adder::infer {

class State {
 public:
  State() = default;
  /// All zeros: nothing has been read. (Models with learnable initial states fill them in:
  /// Model::new_state.) Throws kUnsupported for states that grow with the text.
  explicit State(const model::ModelConfig& config);

  /// Array `index` of `layer`, in the order of MixerSpec::states().
  float* array(int64_t layer, int64_t index) { return data_.data() + offset(layer, index); }
  const float* array(int64_t layer, int64_t index) const {
    return data_.data() + offset(layer, index);
  }

  int64_t tokens = 0;  // how many the state has read
  std::size_t bytes() const { return data_.size() * sizeof(float); }
  /// Has the other the same arrays?
  bool same_layout(const State& other) const { return offsets_ == other.offsets_; }

 private:
  std::size_t offset(int64_t layer, int64_t index) const {
    return offsets_[static_cast<std::size_t>(layer)][static_cast<std::size_t>(index)];
  }

  std::vector<float> data_;
  std::vector<std::vector<std::size_t>> offsets_;  // [layer][index], the end in a last row
};

}  // namespace adder::infer
