#include "adder/kernels/dispatch.h"

#include <atomic>
#include <cstdlib>
#include <string>

#include "adder/base/error.h"

namespace adder::kernels {
namespace {

Isa from_environment() {
  const char* word = std::getenv("ADDER_ISA");
  return parse_isa(word == nullptr ? "" : word, best_isa());
}

std::atomic<Isa>& active() {
  static std::atomic<Isa> isa{from_environment()};
  return isa;
}

Isa supported(Isa isa, Isa best) {
  if (isa <= best) return isa;
  throw Error(
      ErrorKind::kUnsupported,
      {.what = "this processor lacks the instruction set '" + std::string(to_string(isa)) + "'",
       .where = "ADDER_ISA",
       .why = "the widest it has is '" + std::string(to_string(best)) + "'",
       .next = "choose that one or a narrower one"});
}

}  // namespace

std::string_view to_string(Isa isa) {
  constexpr std::string_view names[] = {"portable", "avx2", "avx512"};
  return names[static_cast<int>(isa)];
}

Isa best_isa() {
  // GCC's test includes whether the operating system saves the wide registers.
  static const Isa best = [] {
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("f16c");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512dq");
    return avx512 ? Isa::avx512 : avx2 ? Isa::avx2 : Isa::portable;
  }();
  return best;
}

Isa parse_isa(std::string_view word, Isa best) {
  if (word.empty()) return best;
  for (const Isa isa : kAllIsas) {
    if (word == to_string(isa)) return supported(isa, best);
  }
  throw Error(ErrorKind::kUsage, {.what = "unknown instruction set '" + std::string(word) + "'",
                                  .where = "environment variable ADDER_ISA",
                                  .why = "",
                                  .next = "use one of portable, avx2, avx512"});
}

Isa active_isa() {
  return active().load(std::memory_order_relaxed);
}

IsaScope::IsaScope(Isa isa) : before_(active_isa()) {
  active() = supported(isa, best_isa());
}
IsaScope::~IsaScope() {
  active() = before_;
}

}  // namespace adder::kernels
