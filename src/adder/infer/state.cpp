#include "adder/infer/state.h"

#include "adder/base/checked.h"
#include "adder/base/error.h"

namespace adder::infer {

State::State(const model::ModelConfig& config) {
  constexpr int64_t kAlign = 16;  // arrays begin at multiples of 64 bytes from the block's start
  int64_t total = 0;
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    auto& row = arrays_.emplace_back();
    for (const model::StateSpec& spec : config.mixer(layer).states(config.place(layer))) {
      if (spec.dtype != DType::f32) {
        throw Error(ErrorKind::kUnsupported,
                    {.what = "states are f32 arrays",
                     .where = "layer " + std::to_string(layer) + ", state '" + spec.name + "'"});
      }
      if (spec.grows) {
        const model::Shape of_row(spec.shape.begin() + 1, spec.shape.end());
        row.push_back({growing_.size(), model::element_count(of_row), spec.shape[0]});
        growing_.emplace_back();
        continue;
      }
      row.push_back({static_cast<std::size_t>(total)});
      const int64_t count = (model::element_count(spec.shape) + kAlign - 1) / kAlign * kAlign;
      total = checked_add(total, count, "state", ErrorKind::kShape);
    }
  }
  fixed_.resize(static_cast<std::size_t>(total));
}

float* State::array(int64_t layer, int64_t index) {
  const Array& array = at(layer, index);
  return array.width > 0 ? growing_[array.place].data() : fixed_.data() + array.place;
}

int64_t State::rows(int64_t layer, int64_t index) const {
  const Array& array = at(layer, index);
  return array.width > 0 ? static_cast<int64_t>(growing_[array.place].size()) / array.width : 0;
}

float* State::append(int64_t layer, int64_t index, int64_t count) {
  const Array& array = at(layer, index);
  std::vector<float>& data = growing_[array.place];
  const int64_t held = rows(layer, index);
  // Old rows go many at a time, so that moving the others down costs a row or less for each new.
  if (array.most > 0 && held > array.most && held + count > 2 * array.most) {
    data.erase(data.begin(), data.begin() + (held - array.most) * array.width);
  }
  const std::size_t before = data.size();
  data.resize(before + static_cast<std::size_t>(
                           checked_mul(count, array.width, "state", ErrorKind::kShape)));
  return data.data() + before;
}

const float* State::last_rows(int64_t layer, int64_t index, int64_t count) const {
  const int64_t held = rows(layer, index);
  if (count > held) {
    throw Error(ErrorKind::kInternal, {.what = "a state holds " + std::to_string(held) +
                                               " rows, not " + std::to_string(count),
                                       .where = "layer " + std::to_string(layer)});
  }
  return array(layer, index) + (held - count) * at(layer, index).width;
}

State::Mark State::mark() const {
  Mark mark{tokens, fixed_, {}, {}};
  mark.windows.resize(growing_.size());
  for (const auto& data : growing_) mark.floats.push_back(data.size());
  for (const auto& layer : arrays_) {
    for (const Array& array : layer) {
      if (array.width > 0 && array.most > 0) mark.windows[array.place] = growing_[array.place];
    }
  }
  return mark;
}

void State::restore(const Mark& mark) {
  tokens = mark.tokens;
  fixed_ = mark.fixed;
  for (const auto& layer : arrays_) {
    for (const Array& array : layer) {
      if (array.width == 0) continue;
      if (array.most > 0) growing_[array.place] = mark.windows[array.place];
      growing_[array.place].resize(mark.floats[array.place]);
    }
  }
}

std::size_t State::Mark::bytes() const {
  std::size_t count = fixed.size();
  for (const auto& data : windows) count += data.size();
  return count * sizeof(float);
}

std::size_t State::bytes() const {
  std::size_t count = fixed_.size();
  for (const auto& data : growing_) count += data.size();
  return count * sizeof(float);
}

}  // namespace adder::infer
