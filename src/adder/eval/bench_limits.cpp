// What this machine can do at most: memory as LibTorch reaches it, matrix products as ops/product.h
// does.
#include <ATen/ATen.h>

#include <algorithm>

#include "adder/eval/bench_run.h"
#include "adder/ops/product.h"

namespace adder::eval {
namespace {

constexpr const char* kRead = "memory read";
constexpr const char* kCopy = "memory copy (read + write)";

/// Bytes a second that can be read, and copied (counted once as read and once as written).
void bench_memory(BenchRun& run, MachineLimits& limits) {
  constexpr int64_t kCount = int64_t{48} << 20;  // 192 MiB of floats: past every cache
  const at::Tensor from = at::ones({kCount}), to = at::empty({kCount});
  const auto times = run.time({[&] { from.sum(); }, [&] { to.copy_(from); }});
  const double bytes = 4.0 * kCount;
  limits.read = bytes / times[0].lowest;
  limits.copy = 2 * bytes / times[1].lowest;
  if (run.wanted("limit", kRead)) run.add({"limit", kRead, "GB/s", as_rate(times[0], bytes / 1e9)});
  if (run.wanted("limit", kCopy))
    run.add({"limit", kCopy, "GB/s", as_rate(times[1], 2 * bytes / 1e9)});
}

struct GemmShape {
  const char* name;
  int64_t rows, inner, columns;
};

/// The products of in_proj of a small model and of 130 M parameters, and a square one.
constexpr GemmShape kShapes[] = {{"2048x256x1288", 2048, 256, 1288},
                                 {"2048x768x3352", 2048, 768, 3352},
                                 {"1536^3", 1536, 1536, 1536}};

/// The most operations a second over the shapes.
double bench_gemm(BenchRun& run, at::ScalarType type, const std::string& word) {
  double best = 0;
  for (const GemmShape& shape : kShapes) {
    const at::Tensor a = at::randn({shape.rows, shape.inner}).to(type);
    const at::Tensor b = at::randn({shape.columns, shape.inner}).to(type);
    const Spread seconds = run.time({[&] { ops::product(a, b); }})[0];
    const double work = 2.0 * double(shape.rows) * double(shape.inner) * double(shape.columns);
    best = std::max(best, work / seconds.median);
    const std::string name = word + " GEMM " + shape.name;
    if (run.wanted("limit", name))
      run.add({"limit", name, "GFLOP/s", as_rate(seconds, work / 1e9)});
  }
  return best;
}

}  // namespace

MachineLimits measure_limits(BenchRun& run) {
  MachineLimits limits;
  bench_memory(run, limits);
  limits.gemm_f32 = bench_gemm(run, at::kFloat, "fp32");
  limits.gemm_bf16 = bench_gemm(run, at::kBFloat16, "bf16");
  return limits;
}

void bench_limits(BenchRun& run) {
  for (const char* name : {kRead, kCopy, "fp32 GEMM", "bf16 GEMM"}) {
    if (run.wanted("limit", name)) run.limits();
  }
}

}  // namespace adder::eval
