// Which instruction set the kernels use. Every source of kernels/cpu is compiled once for each, in
// a namespace of that name; the public function of a kernel picks one of the three when it is
// called:
//
//   ADDER_DECLARE_VARIANTS(void ssd(const SsdInputs&, const SsdOutputs&, const Parallel&));   //
//   cpu/ssd.h ADDER_VARIANT(ssd)(in, out, parallel); // ssd.cpp
#pragma once

#include <cstdint>
#include <string_view>

namespace adder::kernels {

/// Each includes those before it. avx2 is AVX2, FMA and F16C; avx512 adds F, BW, VL and DQ.
enum class Isa : uint8_t { portable, avx2, avx512 };
inline constexpr Isa kAllIsas[] = {Isa::portable, Isa::avx2, Isa::avx512};

/// "portable", "avx2", ... : the words of the environment variable ADDER_ISA.
std::string_view to_string(Isa isa);

/// The widest set that this processor and its operating system support.
Isa best_isa();

/// The set that `word` asks for, `best` when it is empty. Throws kUsage when the word is unknown,
/// kUnsupported when it is above `best`.
Isa parse_isa(std::string_view word, Isa best);

/// The set in use: best_isa(), or less if the environment variable ADDER_ISA says so. Read once.
Isa active_isa();

/// Runs the kernels with another set while it lives: for tests and benches, in one thread at a
/// time.
class IsaScope {
 public:
  explicit IsaScope(Isa isa);  // throws kUnsupported when above best_isa()
  ~IsaScope();
  IsaScope(const IsaScope&) = delete;
  IsaScope& operator=(const IsaScope&) = delete;

 private:
  Isa before_;
};

/// The variant of one function for the set in use.
template <typename F>
F* pick(F* portable, F* avx2, F* avx512) {
  F* const table[] = {portable, avx2, avx512};
  return table[static_cast<int>(active_isa())];
}

}  // namespace adder::kernels

// Three declarations of one function; to be used inside namespace adder::kernels.
#define ADDER_DECLARE_VARIANTS(...) \
  namespace portable {              \
  __VA_ARGS__;                      \
  }                                 \
  namespace avx2 {                  \
  __VA_ARGS__;                      \
  }                                 \
  namespace avx512 {                \
  __VA_ARGS__;                      \
  }                                 \
  static_assert(true)
#define ADDER_VARIANT(name) ::adder::kernels::pick(portable::name, avx2::name, avx512::name)
