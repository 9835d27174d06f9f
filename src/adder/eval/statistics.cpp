#include "adder/eval/statistics.h"

#include <algorithm>
#include <cmath>

namespace adder::eval {

std::optional<double> share_error(double p, int64_t n) {
  if (n < 2) return std::nullopt;
  return std::sqrt(p * (1 - p) / static_cast<double>(n - 1));
}

std::optional<double> mean_error(std::span<const double> values) {
  if (values.size() < 2) return std::nullopt;
  const auto n = static_cast<double>(values.size());
  double mean = 0, square = 0;
  for (const double value : values) mean += value / n;
  for (const double value : values) square += (value - mean) * (value - mean);
  return std::sqrt(square / (n - 1) / n);
}

double student_quantile(int64_t freedom) {
  constexpr double kSmall[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706,
                               2.4469,  2.3646, 2.3060, 2.2622, 2.2281};
  if (freedom <= 10) return kSmall[std::max<int64_t>(freedom, 1) - 1];
  // Expansion about the normal quantile z (Abramowitz and Stegun, 26.7.5).
  constexpr double z = 1.959963984540054, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
  const auto v = static_cast<double>(freedom);
  return z + (z3 + z) / (4 * v) + (5 * z5 + 16 * z3 + 3 * z) / (96 * v * v) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * v * v * v);
}

void RatioEstimate::add(double numerator, double denominator) {
  ++count_;
  numerator_ += numerator;
  denominator_ += denominator;
  nn_ += numerator * numerator;
  nd_ += numerator * denominator;
  dd_ += denominator * denominator;
}

double RatioEstimate::standard_error() const {
  if (count_ < 2) return 0;
  const auto n = static_cast<double>(count_);
  const double square = nn_ - 2 * ratio() * nd_ + ratio() * ratio() * dd_;
  return std::sqrt(n / (n - 1) * std::max(square, 0.0)) / denominator_;
}

double RatioEstimate::half_width() const {
  return count_ < 2 ? 0 : student_quantile(count_ - 1) * standard_error();
}

}  // namespace adder::eval
