// Linear systems x' = A x + B u whose states hold the past of u as coefficients of a basis: HiPPO
// (Gu et al., arXiv 2008.07669; Gu et al., arXiv 2206.12037; Gu et al., arXiv 2206.11893), and what
// one step of length dt makes of them. Sizes n >= 1; all but `legs` and `real` need an even one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "adder/base/parallel.h"

namespace adder::model {

enum class Hippo {
  /// A[n,k] = -sqrt(2n+1) sqrt(2k+1) below the diagonal, -(n+1) on it; B[n] = sqrt(2n+1). The
  /// impulse response of state n is e^-t times the orthonormal shifted Legendre polynomial of
  /// degree n at e^-t.
  kLegs,
  /// FouT: A = K - 2 b b^T, B = 2 b, where b = (1, 0, sqrt 2, 0, sqrt 2, ...) and K turns the pair
  /// (2k, 2k+1) with frequency 2 pi k. The impulse responses go towards the orthonormal Fourier
  /// functions of the last unit of time, and nothing before it, as n grows. State 1 would be the
  /// sine of frequency 0, which is no function: nothing drives it, and it would keep for ever what
  /// training or rounding puts there. It decays as fast as state 0 here (A[1,1] = -2).
  kFourier,
  /// With half the frequencies, pi k: A = K - b b^T, B = b, A[1,1] = -1. The window is two units,
  /// the responses half as high.
  kFourierHalf,
  /// Diagonal, A[n,n] = -(n+1): the eigenvalues of legs (S4D-Real). B = 1.
  kReal,
  /// Eigenvalues -1/2 +- i pi k for k < n/2 (S4D-Lin). A pair of conjugate ones is the block
  /// (-1/2, -w; w, -1/2) of states (2k, 2k+1): real and imaginary part. B = (1, 0, 1, 0, ...).
  kLin,
  /// Eigenvalues -1/2 +- i (n/pi) (n/(2k+1) - 1) for k < n/2 (S4D-Inv), as above.
  kInv,
};

/// "legs", "fourier", "fourier_half", "real", "lin", "inv", in the order of the enumeration.
const std::vector<std::string>& hippo_names();
/// Throws kInternal for another name.
Hippo hippo_named(const std::string& name);
/// Must the number of states be even?
bool hippo_in_pairs(Hippo family);

/// Every family is a block-diagonal matrix less a product of two vectors, which makes a step cost
/// O(n) for each of n columns.
class HippoSystem {
 public:
  HippoSystem(Hippo family, int64_t n);

  int64_t size() const { return n_; }
  std::vector<double> A() const;  // (n, n), row-major
  const std::vector<double>& B() const { return B_; }

  /// The bilinear step (Tustin): x_t = step(dt) x_t-1 + input(dt) u_t, (n, n) and (n), with
  ///   step(dt) = (I - dt/2 A)^-1 (I + dt/2 A),   input(dt) = (I - dt/2 A)^-1 dt B.
  /// A + A^T is negative semidefinite, so step(dt) lengthens no vector, and its eigenvalues lie
  /// inside the unit circle.
  std::vector<double> step(double dt) const;
  std::vector<double> input(double dt) const;

 private:
  enum class Product { kNone, kBelow, kWhole };  // where p p^T is taken off

  /// x <- (I - h A)^-1 x
  void solve(double h, double* x) const;
  /// x <- (I - h (the blocks of A alone))^-1 x
  void solve_blocks(double h, double* x) const;

  int64_t n_;
  std::vector<double> diagonal_;   // of the blocks
  std::vector<double> frequency_;  // of each pair (2k, 2k+1); empty: the blocks are numbers
  std::vector<double> p_;          // empty without a product
  Product product_ = Product::kNone;
  std::vector<double> B_;
};

/// The steps dt of `count` channels: from dt_min to dt_max with equal ratios; of one channel, the
/// geometric mean.
double channel_dt(double dt_min, double dt_max, int64_t channel, int64_t count);

/// out (channels, n, n): step(dt) of each channel.
void hippo_steps(Hippo family, int64_t n, int64_t channels, double dt_min, double dt_max,
                 float* out, const Parallel& parallel);
/// out (channels, n): input(dt) of each channel.
void hippo_inputs(Hippo family, int64_t n, int64_t channels, double dt_min, double dt_max,
                  float* out, const Parallel& parallel);

}  // namespace adder::model
