// HiPPO systems against formulas, dense linear algebra (tests/golden/make_hippo.py) and what
// defines them: their spectra and the functions that their states stand for.
#include "adder/model/hippo.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>

#include "adder/base/rng.h"
#include "adder/base/thread_pool.h"
#include "adder/model/mamba2_spec.h"
#include "adder/model/tensor_spec.h"
#include "adder/model/test_support.h"

namespace adder::model {
namespace {

using Matrix = std::vector<double>;  // (n, n) or (n), row-major

int64_t side(const Matrix& m) {
  return static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(m.size()))));
}

/// a (n, n) times b (n, columns)
Matrix times(const Matrix& a, const Matrix& b) {
  const int64_t n = side(a), columns = static_cast<int64_t>(b.size()) / n;
  Matrix c(b.size(), 0.0);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < n; ++k) {
      for (int64_t j = 0; j < columns; ++j) c[i * columns + j] += a[i * n + k] * b[k * columns + j];
    }
  }
  return c;
}

/// I + h A
Matrix one_plus(double h, const Matrix& A) {
  Matrix result = A;
  const int64_t n = side(A);
  for (int64_t i = 0; i < n * n; ++i) result[i] = h * A[i] + (i % (n + 1) == 0 ? 1 : 0);
  return result;
}

double norm(const Matrix& m) {
  double sum = 0;
  for (const double x : m) sum += x * x;
  return std::sqrt(sum);
}

void expect_near(const Matrix& got, const Matrix& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  const double scale = std::max(1.0, norm(want));
  for (std::size_t i = 0; i < want.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], tolerance * scale) << "element " << i;
  }
}

class EveryFamily : public ::testing::TestWithParam<std::string> {
 protected:
  Hippo family() const { return hippo_named(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Hippo, EveryFamily, ::testing::ValuesIn(hippo_names()),
                         [](const auto& info) { return info.param; });

TEST_P(EveryFamily, AgreesWithDenseLinearAlgebra) {
  const auto golden = io::read_json_file(testing::kGolden / "hippo.json");
  const auto& expected = golden[GetParam()];
  const HippoSystem system(family(), golden["size"].get<int64_t>());
  const double dt = golden["dt"].get<double>();
  const auto A = system.A();
  expect_near(A, expected["A"].get<Matrix>(), 1e-13);
  expect_near(system.step(dt), expected["step"].get<Matrix>(), 1e-13);
  expect_near(system.input(dt), expected["input"].get<Matrix>(), 1e-13);
  // Sums of powers of the eigenvalues are traces of powers; as many as there are fix them all.
  std::vector<std::complex<double>> values, powers;
  for (const auto& pair : expected["eigenvalues"]) values.emplace_back(pair[0], pair[1]);
  powers.assign(values.size(), 1);
  Matrix power = one_plus(0, A);
  for (std::size_t p = 0; p < values.size(); ++p) {
    power = times(power, A);
    double trace = 0, sum = 0, size = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      trace += power[i * (values.size() + 1)];
      powers[i] *= values[i];
      sum += powers[i].real();
      size += std::abs(powers[i]);
    }
    EXPECT_NEAR(trace, sum, 1e-11 * size) << "power " << p + 1;
  }
}

TEST_P(EveryFamily, AStepSolvesItsEquation) {
  for (const int64_t n : {2, 40}) {
    const HippoSystem system(family(), n);
    for (const double dt : {1e-3, 0.1, 3.0}) {
      const Matrix left = one_plus(-dt / 2, system.A());
      expect_near(times(left, system.step(dt)), one_plus(dt / 2, system.A()), 1e-12);
      Matrix input = system.B();
      for (double& x : input) x *= dt;
      expect_near(times(left, system.input(dt)), input, 1e-12);
    }
  }
}

// A matrix with a power of norm below 1 has no eigenvalue on the unit circle or beyond.
TEST_P(EveryFamily, EigenvaluesOfAStepAreInsideTheUnitCircle) {
  const HippoSystem system(family(), 16);
  for (const double dt : {1e-3, 0.1, 3.0}) {
    Matrix power = system.step(dt);
    for (int squared = 0; squared < 20; ++squared) power = times(power, power);
    EXPECT_LT(norm(power), 0.01) << "dt " << dt;
  }
}

// A + A^T is negative semidefinite. Rounding to floats, at the size of YS-71M, leaves it at that.
TEST_P(EveryFamily, AStepLengthensNoVector) {
  const int64_t n = 368;
  std::vector<float> step(static_cast<std::size_t>(n * n));
  hippo_steps(family(), n, 1, 0.01, 0.01, step.data(), Serial());
  Rng rng(5);
  Matrix x(static_cast<std::size_t>(n));
  for (double& value : x) value = rng.normal();
  double longest = norm(x) * (1 + 1e-5);
  for (int t = 0; t < 200; ++t) {
    Matrix next(x.size(), 0.0);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) next[i] += static_cast<double>(step[i * n + j]) * x[j];
    }
    x = next;
    EXPECT_LT(norm(x), longest) << "step " << t;
    longest = std::min(longest, norm(x) * (1 + 1e-5));
  }
}

// The eigenvalues of legs are -1 ... -n, of a matrix that is not their diagonal: the traces of its
// powers say so.
TEST(Hippo, LegsHasTheEigenvaluesOfReal) {
  const auto legs = HippoSystem(Hippo::kLegs, 7).A();
  Matrix power = legs;
  for (int p = 1; p <= 7; ++p) {
    double trace = 0, sum = 0;
    for (int i = 0; i < 7; ++i) {
      trace += power[i * 8];
      sum += std::pow(-(i + 1.0), p);
    }
    EXPECT_NEAR(trace, sum, 1e-12 * std::abs(sum)) << p;
    power = times(power, legs);
  }
  EXPECT_LT(legs[7], -1);  // below the diagonal
}

// A + A^T: -(B B^T + I) of legs, -4 b b^T = -B B^T of fourier, -2 b b^T = -2 B B^T of its half, and
// the decay of state 1 beside. Negative semidefinite by inspection.
TEST(Hippo, TheSymmetricPartsAreNegative) {
  const int64_t n = 8;
  const auto symmetric = [&](Hippo family, double scale, int64_t i, int64_t j) {
    const HippoSystem system(family, n);
    const auto A = system.A();
    return A[i * n + j] + A[j * n + i] + scale * system.B()[i] * system.B()[j];
  };
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const bool one = i == j, still = one && i == 1;
      EXPECT_NEAR(symmetric(Hippo::kLegs, 1, i, j), one ? -1 : 0, 1e-13);
      EXPECT_NEAR(symmetric(Hippo::kFourier, 1, i, j), still ? -4 : 0, 1e-13);
      EXPECT_NEAR(symmetric(Hippo::kFourierHalf, 2, i, j), still ? -2 : 0, 1e-13);
    }
  }
}

/// The impulse response exp(t A) B at t = 0, h, 2h, ...: fourth-order Runge-Kutta, whose step of a
/// linear system is the first five terms of the exponential.
std::vector<Matrix> impulse_response(const HippoSystem& system, double h, int count) {
  const auto A = system.A();
  std::vector<Matrix> responses = {system.B()};
  while (static_cast<int>(responses.size()) < count) {
    Matrix next = responses.back(), term = responses.back();
    for (int order = 1; order <= 4; ++order) {
      term = times(A, term);
      for (std::size_t i = 0; i < term.size(); ++i) next[i] += term[i] *= h / order;
    }
    responses.push_back(next);
  }
  return responses;
}

// e^-t times the orthonormal shifted Legendre polynomial at e^-t (spec ys-71m 6.4).
TEST(Hippo, LegsRespondsWithWarpedLegendrePolynomials) {
  const int n = 6;
  const double h = 1e-3;
  const auto responses = impulse_response(HippoSystem(Hippo::kLegs, n), h, 3000);
  for (int time = 0; time < 3000; time += 250) {
    const double s = std::exp(-h * time), x = 2 * s - 1;
    double before = 0, legendre = 1;
    for (int k = 0; k < n; ++k) {
      EXPECT_NEAR(responses[time][k], s * std::sqrt(2 * k + 1.0) * legendre, 1e-8)
          << "state " << k << " at " << h * time;
      const double next = ((2 * k + 1) * x * legendre - k * before) / (k + 1);
      before = legendre;
      legendre = next;
    }
  }
}

/// The mean square of state `state` less the Fourier function that it stands for, over 3 units.
double fourier_error(Hippo family, int64_t n, int64_t state) {
  const double h = 1e-3, window = family == Hippo::kFourier ? 1 : 2;
  const auto responses = impulse_response(HippoSystem(family, n), h, 3000);
  double sum = 0;
  for (int time = 0; time < 3000; ++time) {
    const double angle = 2 * std::numbers::pi / window * static_cast<double>(state / 2) * h * time;
    const double wave = state == 0       ? 1
                        : state % 2 == 0 ? std::numbers::sqrt2 * std::cos(angle)
                                         : std::numbers::sqrt2 * std::sin(angle);
    const double want = h * time < window ? wave / window : 0;
    sum += std::pow(responses[time][state] - want, 2);
  }
  return sum / 3000;
}

TEST(Hippo, FourierRespondsWithTheFunctionsOfAWindow) {
  for (const Hippo family : {Hippo::kFourier, Hippo::kFourierHalf}) {
    for (const int64_t state : {0, 2, 3}) {
      const double coarse = fourier_error(family, 8, state);
      EXPECT_LT(coarse, 0.04) << "state " << state;  // of functions whose mean square is a third
      EXPECT_LT(fourier_error(family, 24, state), coarse / 2) << "state " << state;
    }
    for (const auto& response : impulse_response(HippoSystem(family, 8), 0.01, 100)) {
      EXPECT_EQ(response[1], 0);
    }
  }
}

TEST(Hippo, DiagonalFamiliesHaveTheirEigenvalues) {
  const auto lin = HippoSystem(Hippo::kLin, 6).A(), inv = HippoSystem(Hippo::kInv, 6).A();
  for (int k = 0; k < 3; ++k) {
    const int at = 2 * k * 7;  // the block of pair k
    EXPECT_EQ(lin[at], -0.5);
    EXPECT_EQ(lin[at + 7], -0.5);
    EXPECT_DOUBLE_EQ(lin[at + 6], std::numbers::pi * k);
    EXPECT_DOUBLE_EQ(lin[at + 1], -std::numbers::pi * k);
    EXPECT_DOUBLE_EQ(inv[at + 6], 6 / std::numbers::pi * (6.0 / (2 * k + 1) - 1));
  }
}

TEST(Hippo, StepsOfChannelsHaveEqualRatios) {
  EXPECT_DOUBLE_EQ(channel_dt(1e-3, 0.1, 0, 5), 1e-3);
  EXPECT_DOUBLE_EQ(channel_dt(1e-3, 0.1, 2, 5), 1e-2);
  EXPECT_DOUBLE_EQ(channel_dt(1e-3, 0.1, 4, 5), 0.1);
  EXPECT_DOUBLE_EQ(channel_dt(1e-3, 0.1, 0, 1), 1e-2);
}

TEST(Hippo, FillsTensors) {
  const Init init{Init::Kind::kHippoStep, 1e-3, 0.1, 0, Hippo::kFourier, 4};
  std::vector<float> matrices(3 * 16), again(3 * 16), vectors(3 * 4);
  initialise({.name = "A", .shape = {3, 4, 4}, .init = init}, 1, matrices.data());
  const ThreadPool pool(2);
  initialise({.name = "A", .shape = {3, 4, 4}, .init = init}, 2, again.data(), pool);
  EXPECT_EQ(matrices, again);  // nothing random, whatever the threads
  Init inputs = init;
  inputs.kind = Init::Kind::kHippoInput;
  initialise({.name = "B", .shape = {3, 4}, .init = inputs}, 1, vectors.data());
  const HippoSystem system(Hippo::kFourier, 4);
  const auto middle = system.step(1e-2), input = system.input(1e-2);
  for (int i = 0; i < 16; ++i) EXPECT_FLOAT_EQ(matrices[16 + i], static_cast<float>(middle[i]));
  for (int i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(vectors[4 + i], static_cast<float>(input[i]));
  EXPECT_THROW(initialise({.name = "A", .shape = {3, 5}, .init = init}, 1, matrices.data()), Error);
}

// -(h+1) of 4 heads, scaled to [-16, -1].
TEST(Hippo, HeadsOfMamba2MayStartAtTheSpectrumOfLegs) {
  Mamba2Spec spec;
  spec.head_dim = 8;
  spec.A_init = "hippo_heads";
  const LayerPlace place = {.d_model = 16};
  spec.check(place);
  const auto tensors = testing::tensors_by_name(spec.tensors(place));
  std::vector<float> A_log(4);
  initialise(tensors.at("A_log"), 1, A_log.data());
  for (int h = 0; h < 4; ++h) EXPECT_FLOAT_EQ(std::exp(A_log[h]), 1 + 15 * h / 3.0f);
  spec.A_init = "hippo";
  testing::expect_error([&] { spec.check(place); }, ErrorKind::kConfig, "mamba2.A_init");
}

TEST(Hippo, RefusesSizesWithoutAPartner) {
  EXPECT_THROW(HippoSystem(Hippo::kLin, 5), Error);
  EXPECT_THROW(HippoSystem(Hippo::kFourier, 7), Error);
  EXPECT_THROW(HippoSystem(Hippo::kReal, 0), Error);
  EXPECT_EQ(HippoSystem(Hippo::kLegs, 5).size(), 5);
}

}  // namespace
}  // namespace adder::model
