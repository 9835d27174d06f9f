#include "adder/model/hippo.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "adder/base/error.h"

namespace adder::model {
namespace {

constexpr double kPi = std::numbers::pi;

std::vector<double> filled(int64_t count, auto&& value) {
  std::vector<double> values(static_cast<std::size_t>(count));
  for (int64_t i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = value(i);
  return values;
}

}  // namespace

const std::vector<std::string>& hippo_names() {
  static const std::vector<std::string> names = {"legs", "fourier", "fourier_half",
                                                 "real", "lin",     "inv"};
  return names;
}

Hippo hippo_named(const std::string& name) {
  const auto& names = hippo_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw Error(ErrorKind::kInternal, {.what = "there is no HiPPO family '" + name + "'"});
  }
  return static_cast<Hippo>(found - names.begin());
}

bool hippo_in_pairs(Hippo family) {
  return family != Hippo::kLegs && family != Hippo::kReal;
}

HippoSystem::HippoSystem(Hippo family, int64_t n) : n_(n) {
  if (n < 1 || (hippo_in_pairs(family) && n % 2 != 0)) {
    throw Error(ErrorKind::kInternal,
                {.what = "no HiPPO system of this family has " + std::to_string(n) + " states"});
  }
  const auto real = [](int64_t i) { return -static_cast<double>(i + 1); };
  const auto root = [](int64_t i) { return std::sqrt(static_cast<double>(2 * i + 1)); };
  const auto even = [](int64_t i) { return i % 2 == 0 ? 1.0 : 0.0; };
  switch (family) {
    case Hippo::kLegs:
      diagonal_ = filled(n, real);
      p_ = B_ = filled(n, root);
      product_ = Product::kBelow;
      return;
    case Hippo::kFourier:
    case Hippo::kFourierHalf: {
      const double scale = family == Hippo::kFourier ? 2 : 1;  // of the frequencies and of b b^T
      frequency_ = filled(n / 2, [&](int64_t k) { return scale * kPi * static_cast<double>(k); });
      diagonal_ = filled(n, [&](int64_t i) { return i == 1 ? -scale : 0.0; });
      const auto b = filled(n, [&](int64_t i) { return i == 0 ? 1 : std::sqrt(2.0) * even(i); });
      p_ = filled(n, [&](int64_t i) { return std::sqrt(scale) * b[static_cast<std::size_t>(i)]; });
      B_ = filled(n, [&](int64_t i) { return scale * b[static_cast<std::size_t>(i)]; });
      product_ = Product::kWhole;
      return;
    }
    case Hippo::kReal:
      diagonal_ = filled(n, real);
      B_.assign(static_cast<std::size_t>(n), 1);
      return;
    case Hippo::kLin:
    case Hippo::kInv: {
      const auto N = static_cast<double>(n);
      frequency_ = filled(n / 2, [&](int64_t i) {
        const auto k = static_cast<double>(i);
        return family == Hippo::kLin ? kPi * k : N / kPi * (N / (2 * k + 1) - 1);
      });
      diagonal_.assign(static_cast<std::size_t>(n), -0.5);
      B_ = filled(n, even);
      return;
    }
  }
}

std::vector<double> HippoSystem::A() const {
  std::vector<double> A(static_cast<std::size_t>(n_ * n_));
  for (int64_t row = 0; row < n_; ++row) {
    A[row * n_ + row] = diagonal_[row];
    const int64_t end = product_ == Product::kNone ? 0 : product_ == Product::kBelow ? row : n_;
    for (int64_t column = 0; column < end; ++column) A[row * n_ + column] -= p_[row] * p_[column];
  }
  for (std::size_t k = 0; k < frequency_.size(); ++k) {
    const int64_t first = 2 * static_cast<int64_t>(k);
    A[first * n_ + first + 1] -= frequency_[k];
    A[(first + 1) * n_ + first] += frequency_[k];
  }
  return A;
}

void HippoSystem::solve_blocks(double h, double* x) const {
  if (frequency_.empty()) {
    for (int64_t i = 0; i < n_; ++i) x[i] /= 1 - h * diagonal_[i];
    return;
  }
  for (int64_t i = 0; i < n_; i += 2) {  // (a, w; -w, d)^-1 = (d, -w; w, a) / (a d + w^2)
    const double a = 1 - h * diagonal_[i], d = 1 - h * diagonal_[i + 1];
    const double w = h * frequency_[i / 2], determinant = a * d + w * w;
    const double first = x[i], second = x[i + 1];
    x[i] = (d * first - w * second) / determinant;
    x[i + 1] = (w * first + a * second) / determinant;
  }
}

void HippoSystem::solve(double h, double* x) const {
  if (product_ == Product::kBelow) {  // substitution; `sum` is p.x of the rows before
    double sum = 0;
    for (int64_t i = 0; i < n_; ++i) {
      x[i] = (x[i] - h * p_[i] * sum) / (1 - h * diagonal_[i]);
      sum += p_[i] * x[i];
    }
    return;
  }
  solve_blocks(h, x);
  if (product_ == Product::kNone) return;
  // (M + h p p^T)^-1 = M^-1 - h (M^-1 p) (p^T M^-1) / (1 + h p^T M^-1 p), Sherman and Morrison.
  std::vector<double> q = p_;
  solve_blocks(h, q.data());
  double px = 0, pq = 0;
  for (int64_t i = 0; i < n_; ++i) {
    px += p_[i] * x[i];
    pq += p_[i] * q[i];
  }
  for (int64_t i = 0; i < n_; ++i) x[i] -= q[i] * h * px / (1 + h * pq);
}

std::vector<double> HippoSystem::step(double dt) const {
  // (I - h A)^-1 (I + h A) = 2 (I - h A)^-1 - I, column by column.
  std::vector<double> result(static_cast<std::size_t>(n_ * n_));
  std::vector<double> x(static_cast<std::size_t>(n_));
  for (int64_t column = 0; column < n_; ++column) {
    std::fill(x.begin(), x.end(), 0.0);
    x[static_cast<std::size_t>(column)] = 2;
    solve(dt / 2, x.data());
    x[static_cast<std::size_t>(column)] -= 1;
    for (int64_t row = 0; row < n_; ++row) result[row * n_ + column] = x[row];
  }
  return result;
}

std::vector<double> HippoSystem::input(double dt) const {
  std::vector<double> x = B_;
  for (double& value : x) value *= dt;
  solve(dt / 2, x.data());
  return x;
}

double channel_dt(double dt_min, double dt_max, int64_t channel, int64_t count) {
  const double place =
      count == 1 ? 0.5 : static_cast<double>(channel) / static_cast<double>(count - 1);
  return dt_min * std::pow(dt_max / dt_min, place);
}

namespace {

/// out: make(dt) of each channel, one after another.
template <typename Make>
void each_channel(int64_t channels, double dt_min, double dt_max, float* out,
                  const Parallel& parallel, const Make& make) {
  parallel.run(channels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; ++channel) {
      const std::vector<double> made = make(channel_dt(dt_min, dt_max, channel, channels));
      std::copy(made.begin(), made.end(), out + channel * static_cast<int64_t>(made.size()));
    }
  });
}

}  // namespace

void hippo_steps(Hippo family, int64_t n, int64_t channels, double dt_min, double dt_max,
                 float* out, const Parallel& parallel) {
  const HippoSystem system(family, n);
  each_channel(channels, dt_min, dt_max, out, parallel, [&](double dt) { return system.step(dt); });
}

void hippo_inputs(Hippo family, int64_t n, int64_t channels, double dt_min, double dt_max,
                  float* out, const Parallel& parallel) {
  const HippoSystem system(family, n);
  each_channel(channels, dt_min, dt_max, out, parallel,
               [&](double dt) { return system.input(dt); });
}

}  // namespace adder::model
