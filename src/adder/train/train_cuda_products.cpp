#include "adder/train/train_cuda_products.h"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <c10/cuda/CUDAGuard.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace adder::train {
namespace {

using at::Tensor;

/// Below it a product takes some microseconds, and what it takes to look for a kernel never pays.
constexpr double kLeastOperations = 1e10;
constexpr int kCandidates = 16;
constexpr int kRounds = 3;
constexpr float kHopeless = 1.15F;  // times the least

/// A matrix as cuBLASLt sees it: by columns, transposed where it lies by rows.
struct Operand {
  int64_t rows = 0, columns = 0, stride = 0;  // before it is transposed
  bool transposed = false;
  bool fits = false;
  int64_t alignment = 256;  // of its memory, in bytes
};

int64_t alignment_of(const Tensor& matrix) {
  const auto address = reinterpret_cast<uintptr_t>(matrix.const_data_ptr());
  return std::min<int64_t>(256, static_cast<int64_t>(address & (~address + 1)));
}

/// `matrix` (r, c) as the c x r matrix of cuBLASLt.
Operand operand_of(const Tensor& matrix) {
  Operand operand;
  const bool by_rows = matrix.stride(1) == 1;
  operand.transposed = !by_rows;
  operand.rows = matrix.size(by_rows ? 1 : 0);
  operand.columns = matrix.size(by_rows ? 0 : 1);
  operand.stride = matrix.stride(by_rows ? 0 : 1);
  operand.alignment = alignment_of(matrix);
  const int64_t unit = 16 / matrix.element_size();
  operand.fits = (by_rows || matrix.stride(0) == 1) && operand.stride >= operand.rows &&
                 operand.stride % unit == 0 && operand.alignment >= 16;
  return operand;
}

void check(cublasStatus_t status) {
  TORCH_CHECK(status == CUBLAS_STATUS_SUCCESS, "cuBLASLt: ", cublasLtGetStatusString(status));
}

/// out = a b as cuBLASLt is told it: out^T = b^T a^T, by columns.
class Product {
 public:
  Product(const Operand& a, const Operand& b, const Operand& out, at::ScalarType type, bool add)
      : add_(add) {
    check(cublasLtMatmulDescCreate(&product_, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(CUBLASLT_MATMUL_DESC_TRANSA, operation(b));
    set(CUBLASLT_MATMUL_DESC_TRANSB, operation(a));
    left_ = layout(b, CUDA_R_16BF);
    right_ = layout(a, CUDA_R_16BF);
    out_ = layout(out, type == at::kFloat ? CUDA_R_32F : CUDA_R_16BF);
    check(cublasLtMatmulPreferenceCreate(&preference_));
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{0});
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, static_cast<uint32_t>(b.alignment));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, static_cast<uint32_t>(a.alignment));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, static_cast<uint32_t>(out.alignment));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, static_cast<uint32_t>(out.alignment));
  }
  // Lives as long as the program: see tuned_product().
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  /// Kernels that take each sum in one part and need no memory of their own.
  std::vector<cublasLtMatmulAlgo_t> candidates() const {
    std::array<cublasLtMatmulHeuristicResult_t, kCandidates> found;
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        at::cuda::getCurrentCUDABlasLtHandle(), product_, left_, right_, out_, out_, preference_,
        kCandidates, found.data(), &count);
    std::vector<cublasLtMatmulAlgo_t> whole;
    for (int i = 0; status == CUBLAS_STATUS_SUCCESS && i < count; ++i) {
      uint32_t parts = 1;
      size_t written = 0;
      cublasLtMatmulAlgoConfigGetAttribute(&found[i].algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts,
                                           sizeof(parts), &written);
      if (parts <= 1) whole.push_back(found[i].algo);
    }
    return whole;
  }

  /// Whether the kernel took it.
  bool run(const cublasLtMatmulAlgo_t& kernel, const Tensor& out, const Tensor& a,
           const Tensor& b) const {
    const float one = 1, beta = add_ ? 1 : 0;
    void* to = out.mutable_data_ptr();
    return cublasLtMatmul(at::cuda::getCurrentCUDABlasLtHandle(), product_, &one,
                          b.const_data_ptr(), left_, a.const_data_ptr(), right_, &beta, to, out_,
                          to, out_, &kernel, nullptr, 0,
                          at::cuda::getCurrentCUDAStream()) == CUBLAS_STATUS_SUCCESS;
  }

 private:
  static cublasOperation_t operation(const Operand& operand) {
    return operand.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  }
  static cublasLtMatrixLayout_t layout(const Operand& operand, cudaDataType_t type) {
    cublasLtMatrixLayout_t made = nullptr;
    check(cublasLtMatrixLayoutCreate(&made, type, static_cast<uint64_t>(operand.rows),
                                     static_cast<uint64_t>(operand.columns), operand.stride));
    return made;
  }
  template <typename Value>
  void set(cublasLtMatmulDescAttributes_t attribute, Value value) {
    check(cublasLtMatmulDescSetAttribute(product_, attribute, &value, sizeof(value)));
  }
  template <typename Value>
  void prefer(cublasLtMatmulPreferenceAttributes_t attribute, Value value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference_, attribute, &value, sizeof(value)));
  }

  bool add_;
  cublasLtMatmulDesc_t product_ = nullptr;
  cublasLtMatrixLayout_t left_ = nullptr, right_ = nullptr, out_ = nullptr;
  cublasLtMatmulPreference_t preference_ = nullptr;
};

/// Tries the kernels on the caller's own matrices.
class Trial {
 public:
  Trial(const Product& product, const Tensor& out, const Tensor& a, const Tensor& b, bool add)
      : product_(product), out_(out), a_(a), b_(b) {
    if (add) before_ = out.clone();
  }

  /// The fastest of those that give the bits of the first.
  std::optional<cublasLtMatmulAlgo_t> best() {
    std::vector<Timed> left = of_the_same_bits();
    // By turns, so that a device that warms up or slows down does so for all of them.
    for (int round = 0; round < kRounds; ++round) {
      float least = std::numeric_limits<float>::infinity();
      for (Timed& one : left) {
        one.milliseconds = std::min(one.milliseconds, time(one.kernel));
        least = std::min(least, one.milliseconds);
      }
      std::erase_if(left, [&](const Timed& one) { return one.milliseconds > kHopeless * least; });
    }
    const auto fastest = std::min_element(
        left.begin(), left.end(),
        [](const Timed& a, const Timed& b) { return a.milliseconds < b.milliseconds; });
    return fastest == left.end() ? std::nullopt : std::optional(fastest->kernel);
  }

  /// From the same start each time. Whether the kernel took it.
  bool run(const cublasLtMatmulAlgo_t& kernel) const {
    if (before_.defined()) Tensor(out_).copy_(before_);
    return product_.run(kernel, out_, a_, b_);
  }

 private:
  struct Timed {
    cublasLtMatmulAlgo_t kernel;
    float milliseconds = std::numeric_limits<float>::infinity();
  };

  std::vector<Timed> of_the_same_bits() const {
    std::vector<Timed> same;
    int64_t bits = 0;
    for (const cublasLtMatmulAlgo_t& kernel : product_.candidates()) {
      if (!run(kernel)) continue;
      // Other bits give another sum, but for one chance in a great many.
      const auto found = out_.view(at::kLong).sum().item<int64_t>();
      if (same.empty()) bits = found;
      if (found == bits) same.push_back({kernel});
    }
    return same;
  }

  float time(const cublasLtMatmulAlgo_t& kernel) const {
    at::cuda::CUDAEvent begin(cudaEventDefault), end(cudaEventDefault);
    product_.run(kernel, out_, a_, b_);  // keeps the device busy until all that follows was given
    begin.record();
    product_.run(kernel, out_, a_, b_);
    end.record();
    end.synchronize();
    return begin.elapsed_time(end);
  }

  const Product& product_;
  Tensor out_, a_, b_, before_;
};

/// What is known of products of some shapes.
struct Known {
  std::unique_ptr<Product> product;
  std::optional<cublasLtMatmulAlgo_t> kernel;
};

using Shape = std::array<int64_t, 14>;

Shape shape_of(const Operand& a, const Operand& b, const Operand& out, const Tensor& to, bool add) {
  return {to.device().index(),
          a.rows,
          a.columns,
          a.stride,
          a.transposed,
          a.alignment,
          b.rows,
          b.columns,
          b.stride,
          b.transposed,
          b.alignment,
          out.stride,
          out.alignment,
          2 * add + (to.scalar_type() == at::kFloat)};
}

bool takes(const Tensor& out, const Tensor& a, const Tensor& b) {
  const auto type = out.scalar_type();
  const double operations = 2.0 * static_cast<double>(a.size(0)) * static_cast<double>(a.size(1)) *
                            static_cast<double>(b.size(1));
  return a.scalar_type() == at::kBFloat16 && b.scalar_type() == at::kBFloat16 &&
         (type == at::kBFloat16 || type == at::kFloat) && operations >= kLeastOperations &&
         out.stride(1) == 1 && out.size(1) * out.element_size() % 8 == 0 &&
         at::cuda::getCurrentDeviceProperties()->major >= 9;
}

}  // namespace

bool tuned_product(const Tensor& out, const Tensor& a, const Tensor& b, bool add) {
  if (!takes(out, a, b)) return false;
  const Operand left = operand_of(a), right = operand_of(b), to = operand_of(out);
  if (!left.fits || !right.fits || !to.fits) return false;
  const c10::cuda::CUDAGuard guard(out.device());

  // Never taken apart: when a program ends, the device's libraries may be gone before it.
  static auto& lock = *new std::mutex;
  static auto& all = *new std::map<Shape, Known>;
  const std::lock_guard<std::mutex> locked(lock);
  const Shape shape = shape_of(left, right, to, out, add);
  auto found = all.find(shape);
  if (found == all.end()) {
    if (c10::cuda::currentStreamCaptureStatusMayInitCtx() != c10::cuda::CaptureStatus::None)
      return false;
    found = all.emplace(shape, Known{}).first;
    found->second.product = std::make_unique<Product>(left, right, to, out.scalar_type(), add);
    Trial trial(*found->second.product, out, a, b, add);
    found->second.kernel = trial.best();
    return found->second.kernel && trial.run(*found->second.kernel);
  }
  const Known& known = found->second;
  return known.kernel && known.product->run(*known.kernel, out, a, b);
}

}  // namespace adder::train

extern "C" __attribute__((visibility("default"))) bool adder_device_product(const at::Tensor& out,
                                                                            const at::Tensor& a,
                                                                            const at::Tensor& b,
                                                                            bool add) {
  return adder::train::tuned_product(out, a, b, add);
}
