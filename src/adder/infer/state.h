// The recurrent state of one sequence: every array its model's mixers describe. A copy is a
// snapshot; restoring is assignment. A mark is a smaller one, to come back to in the same state.
#pragma once

#include <cstddef>
#include <vector>

#include "adder/model/config.h"

namespace adder::infer {

class State {
 public:
  State() = default;
  /// Nothing has been read: arrays of fixed size are zeros, those that grow have no rows. (Models
  /// with learnable initial states fill them in: Model::new_state.) Throws kUnsupported for states
  /// that are not f32.
  explicit State(const model::ModelConfig& config);

  /// Array `index` of `layer`, in the order of MixerSpec::states(). Of one that grows: its first
  /// row held.
  float* array(int64_t layer, int64_t index);
  const float* array(int64_t layer, int64_t index) const {
    return const_cast<State*>(this)->array(layer, index);
  }

  /// Of an array that grows, how many rows it holds: the last ones of those appended. Where the
  /// spec keeps all, all; where it keeps `most`, at least that many (once there were), and at most
  /// 2 most or most + the rows last appended. 0 for an array of fixed size.
  int64_t rows(int64_t layer, int64_t index) const;
  /// Makes room for `count` more rows, to be written by the caller, and returns the first of them.
  /// Pointers into this array are invalid then. Costs O(1) a row on average.
  float* append(int64_t layer, int64_t index, int64_t count);
  /// The last `count` rows. Throws kInternal when it holds less.
  const float* last_rows(int64_t layer, int64_t index, int64_t count) const;

  /// What it takes to come back: arrays of fixed size and those with a window are copied, of those
  /// that keep every row their length is enough.
  struct Mark {
    int64_t tokens;
    std::vector<float> fixed;
    std::vector<std::vector<float>> windows;  // one for each growing array; empty: see `floats`
    std::vector<std::size_t> floats;          // how many each growing array held
    std::size_t bytes() const;
  };
  Mark mark() const;
  /// Comes back to a mark of this very state. Since then it may only have read on (a call that
  /// threw half-way included) or come back to later marks.
  void restore(const Mark& mark);

  int64_t tokens = 0;  // how many the state has read
  std::size_t bytes() const;
  /// Has the other the same arrays, whatever their lengths?
  bool same_layout(const State& other) const { return arrays_ == other.arrays_; }

 private:
  struct Array {
    std::size_t place = 0;  // in fixed_ where it begins, or the number of its block in growing_
    int64_t width = 0;      // floats of a row of one that grows; 0: it does not
    int64_t most = 0;       // rows of it to keep; 0: all
    bool operator==(const Array&) const = default;
  };
  const Array& at(int64_t layer, int64_t index) const {
    return arrays_[static_cast<std::size_t>(layer)][static_cast<std::size_t>(index)];
  }

  std::vector<std::vector<Array>> arrays_;  // [layer][index]
  std::vector<float> fixed_;
  std::vector<std::vector<float>> growing_;
};

}  // namespace adder::infer
