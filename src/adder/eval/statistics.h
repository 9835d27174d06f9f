// How far a measured figure may be from the true one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace adder::eval {

/// Standard error of the mean of n right-or-wrong answers of which the share `p` is right, as the
/// evaluation harness prints it: sqrt(p (1 - p) / (n - 1)). Nothing for n < 2.
std::optional<double> share_error(double p, int64_t n);

/// Standard error of the mean of `values`: their sample deviation / sqrt(n). Nothing for n < 2.
std::optional<double> mean_error(std::span<const double> values);

/// The 97.5 % quantile of Student's distribution: what a standard error is multiplied by for a 95 %
/// confidence interval. `freedom` >= 1.
double student_quantile(int64_t freedom);

/// A ratio of two sums over documents, sum(numerator) / sum(denominator), and its standard error by
/// the ratio estimator (Cochran, Sampling Techniques, 1977, 6.3): documents are what is drawn at
/// random, long ones weigh more, and
///   variance = n / (n - 1) sum (numerator_i - ratio denominator_i)^2 / (sum denominator)^2.
class RatioEstimate {
 public:
  void add(double numerator, double denominator);

  int64_t count() const { return count_; }
  double ratio() const { return numerator_ / denominator_; }
  double standard_error() const;  // 0 for fewer than two documents
  /// Half the width of the 95 % confidence interval; 0 for fewer than two documents.
  double half_width() const;

 private:
  int64_t count_ = 0;
  double numerator_ = 0, denominator_ = 0;
  double nn_ = 0, nd_ = 0, dd_ = 0;  // sums of products
};

}  // namespace adder::eval
