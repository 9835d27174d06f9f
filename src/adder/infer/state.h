// The recurrent state of one sequence: every array its model's mixers describe, in one block of memory. A copy
// is a snapshot; restoring is assignment.
#pragma once

#include <cstddef>
#include <vector>

#include "adder/model/config.h"

namespace adder::infer {

class State {
 public:
  State() = default;
  /// All zeros: nothing has been read. (Models with learnable initial states fill them in: Model::new_state.)
  explicit State(const model::ModelConfig& config);

  /// Array `index` of `layer`, in the order of MixerSpec::states().
  float* array(int64_t layer, int64_t index);
  const float* array(int64_t layer, int64_t index) const;

  int64_t tokens = 0;  // how many the state has read
  std::size_t bytes() const { return data_.size() * sizeof(float); }

 private:
  std::vector<float> data_;
  std::vector<std::vector<std::size_t>> offsets_;  // [layer][index]
};

}  // namespace adder::infer
