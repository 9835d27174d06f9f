// What the tests of kernels share: owned arrays of any dtype, random values, comparison by largest
// error, finite differences, a pairwise choice of cases, and a Parallel that cuts its ranges oddly.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <thread>
#include <vector>

#include "adder/base/parallel.h"
#include "adder/base/rng.h"
#include "adder/kernels/dispatch.h"
#include "adder/kernels/ref/element.h"
#include "adder/kernels/view.h"

namespace adder::kernels::testing {

/// Element number `flat` of a View in row-major order, as a View of that element alone.
template <int Rank>
View<1> element(const View<Rank>& view, int64_t flat) {
  int64_t offset = 0;
  for (int d = Rank - 1; d >= 0; --d) {
    offset += flat % view.size[d] * view.stride[d];
    flat /= view.size[d];
  }
  return {view.template as<char>() + offset * size_of(view.dtype), view.dtype, {1}, {1}};
}

template <int Rank>
int64_t count_of(const View<Rank>& view) {
  return std::accumulate(view.size.begin(), view.size.end(), int64_t{1}, std::multiplies<>());
}

template <int Rank>
double value_at(const View<Rank>& view, int64_t flat) {
  return ref::get<double>(element(view, flat), 0);
}

template <int Rank>
void set_at(const View<Rank>& view, int64_t flat, double value) {
  const View<1> place = element(view, flat);
  if (place.dtype == DType::i64)
    place.as<int64_t>()[0] = static_cast<int64_t>(value);
  else if (place.dtype == DType::i32)
    place.as<int32_t>()[0] = static_cast<int32_t>(value);
  else
    ref::set(place, value, 0);
}

/// NaN at the tokens that seq_idx (1, length) calls padding, in each of the (1, length, ...) views.
template <int... Ranks>
void poison_padding(const View<2>& seq_idx, const View<Ranks>&... views) {
  const int64_t length = seq_idx.size[1];
  const auto poison = [&](const auto& view, int64_t token) {
    const int64_t row = view.given() ? count_of(view) / length : 0;
    for (int64_t i = 0; i < row; ++i) set_at(view, token * row + i, std::nan(""));
  };
  for (int64_t token = 0; token < length; ++token)
    if (value_at(seq_idx, token) < 0) (poison(views, token), ...);
}

/// An owned array, poisoned with NaN (all bits set). `gap` elements lie between the rows of its
/// last dimension.
template <int Rank>
class Array {
 public:
  Array() = default;
  Array(DType dtype, std::array<int64_t, Rank> size, int64_t gap = 0) {
    view_ = dense<Rank>(nullptr, dtype, size);
    int64_t stride = size[Rank - 1] + gap;
    for (int d = Rank - 2; d >= 0; --d) {
      view_.stride[d] = stride;
      stride *= size[d];
    }
    storage_.assign(static_cast<size_t>(std::max<int64_t>(stride, 1) * size_of(dtype)), '\xff');
  }

  View<Rank> view() const {
    View<Rank> view = view_;
    view.data = storage_.empty() ? nullptr : const_cast<char*>(storage_.data());
    return view;
  }
  operator View<Rank>() const { return view(); }  // NOLINT: an Array is passed as the View it owns
  bool same_bytes(const Array& other) const { return storage_ == other.storage_; }

  /// Whether nothing was written between the rows.
  bool gaps_untouched() const {
    Array copy = *this;
    for (int64_t i = 0; i < count_of(view_); ++i)
      std::memset(element(copy.view(), i).data, 0xff, static_cast<size_t>(size_of(view_.dtype)));
    return std::all_of(copy.storage_.begin(), copy.storage_.end(),
                       [](char c) { return c == '\xff'; });
  }

  Array& fill(Rng& rng, double scale = 1, double shift = 0) {
    for (int64_t i = 0; i < count_of(view_); ++i) set_at(view(), i, shift + scale * rng.normal());
    return *this;
  }
  Array& fill_with(double value) {
    for (int64_t i = 0; i < count_of(view_); ++i) set_at(view(), i, value);
    return *this;
  }

 private:
  std::vector<char> storage_;
  View<Rank> view_;
};

/// The same values in another dtype, dense; a View that was not given stays so.
template <int Rank>
Array<Rank> copy_as(DType dtype, const View<Rank>& view) {
  if (!view.given()) return {};
  Array<Rank> copy(dtype, view.size);
  for (int64_t i = 0; i < count_of(view); ++i) set_at(copy.view(), i, value_at(view, i));
  return copy;
}

/// A view of the same shape as `view` in f64, for the oracle's output; not given where `view` is
/// not.
template <int Rank>
Array<Rank> f64_like(const View<Rank>& view) {
  return view.given() ? Array<Rank>(DType::f64, view.size) : Array<Rank>();
}

/// Largest error over largest value (at least `floor`: the size of terms that may cancel), after
/// what rounding to got's dtype may cost each element. NaN is infinite.
template <int Rank>
double error_of(const View<Rank>& got, const View<Rank>& want, double floor = 1e-30) {
  if (!want.given()) return 0;
  const double rounding = got.dtype == DType::bf16  ? 1.0 / 256
                          : got.dtype == DType::f16 ? 1.0 / 2048
                                                    : 0;
  double worst = 0, largest = floor;
  for (int64_t i = 0; i < count_of(want); ++i) {
    const double a = value_at(got, i), b = value_at(want, i);
    const double error = std::abs(a - b) - rounding * std::abs(b);
    worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(worst, error);
    largest = std::max(largest, std::abs(b));
  }
  return worst / largest;
}

/// Compares `gradient` (f64) of the scalar `loss` with central differences in `input` (f64), at no
/// more than `samples` places.
template <int Rank>
void expect_gradient(const std::function<double()>& loss, const View<Rank>& input,
                     const View<Rank>& gradient, const char* name, int64_t samples = 24) {
  const int64_t count = count_of(input), step = std::max<int64_t>(1, count / samples);
  for (int64_t i = 0; i < count; i += step) {
    constexpr double kStep = 1e-5;
    const double at = value_at(input, i);
    set_at(input, i, at + kStep);
    const double above = loss();
    set_at(input, i, at - kStep);
    const double below = loss();
    set_at(input, i, at);
    const double want = (above - below) / (2 * kStep);
    EXPECT_NEAR(value_at(gradient, i), want, 1e-6 * (1 + std::abs(want))) << name << " at " << i;
  }
}

/// Sum of a * weight over all elements: turns an output into a scalar whose gradient is `weight`.
template <int Rank>
double dot(const View<Rank>& a, const View<Rank>& weight) {
  double sum = 0;
  for (int64_t i = 0; a.given() && i < count_of(a); ++i)
    sum += value_at(a, i) * value_at(weight, i);
  return sum;
}

/// Rows of level numbers, level i below levels[i], such that every pair of levels of every two
/// factors occurs.
std::vector<std::vector<int>> pairwise(const std::vector<int>& levels);

/// The instruction sets that this machine has.
inline std::vector<Isa> isas() {
  std::vector<Isa> found;
  for (const Isa isa : kAllIsas)
    if (isa <= best_isa()) found.push_back(isa);
  return found;
}

/// Several threads and uneven ranges, handed out last first.
class OddThreads final : public Parallel {
 public:
  explicit OddThreads(int threads) : threads_(threads) {}
  void run(int64_t count, int64_t, RangeBody body) const override {
    const int64_t piece = std::max<int64_t>(1, count / (2 * threads_ + 1));
    std::vector<std::thread> pool;
    for (int k = 0; k < threads_; ++k)
      pool.emplace_back([&, k] {
        const int64_t pieces = (count + piece - 1) / piece;
        for (int64_t p = pieces - 1 - k; p >= 0; p -= threads_)
          body(p * piece, std::min(count, (p + 1) * piece));
      });
    for (std::thread& thread : pool) thread.join();
  }
  int threads() const override { return threads_; }

 private:
  int threads_;
};

}  // namespace adder::kernels::testing
