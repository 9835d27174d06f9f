#include "adder/infer/state.h"

#include "adder/base/checked.h"
#include "adder/base/error.h"

namespace adder::infer {

State::State(const model::ModelConfig& config) {
  constexpr int64_t kAlign = 16;  // arrays begin at multiples of 64 bytes from the block's start
  int64_t total = 0;
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    auto& row = offsets_.emplace_back();
    for (const model::StateSpec& spec : config.mixer(layer).states(config.place(layer))) {
      if (spec.grows || spec.dtype != DType::f32) {
        throw Error(ErrorKind::kUnsupported,
                    {.what = "states are f32 arrays of fixed size",
                     .where = "layer " + std::to_string(layer) + ", state '" + spec.name + "'"});
      }
      row.push_back(static_cast<std::size_t>(total));
      const int64_t count = (model::element_count(spec.shape) + kAlign - 1) / kAlign * kAlign;
      total = checked_add(total, count, "state", ErrorKind::kShape);
    }
  }
  offsets_.push_back({static_cast<std::size_t>(total)});
  data_.resize(static_cast<std::size_t>(total));
}

}  // namespace adder::infer
