// libadder_train_cuda.so: streams, memory and graphs of LibTorch's CUDA side (accelerator.h).
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/cuda/MemPool.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>

#include <cstdlib>

#include "adder/train/accelerator.h"

namespace adder::train {
namespace {

namespace memory = c10::cuda::CUDACachingAllocator;

class CudaGraph final : public Accelerator::Graph {
 public:
  void replay() override { graph.replay(); }
  at::cuda::CUDAGraph graph{/*keep_graph=*/true};  // as recorded too, until it is made ready
};

/// A chain of kernels is handed to the device whole before its first begins: 0.7 ms for 500. So
/// something else, a word that is cleared, follows the first ones: they begin at once, and the rest
/// is handed over meanwhile. A record that does not begin as a chain is left as it is.
void let_begin_early(cudaGraph_t graph, int32_t* word) {
  constexpr int kFirst = 16;
  size_t count = 1;
  cudaGraphNode_t before = nullptr, after = nullptr;
  if (cudaGraphGetRootNodes(graph, &before, &count) != cudaSuccess || count != 1) return;
  for (int i = 0; i < kFirst; ++i) {
    if (after != nullptr) before = after;
    cudaGraphEdgeData edge = {};
    count = 1;
    C10_CUDA_CHECK(cudaGraphNodeGetDependentNodes(before, nullptr, nullptr, &count));
    if (count != 1) return;
    C10_CUDA_CHECK(cudaGraphNodeGetDependentNodes(before, &after, &edge, &count));
    if (edge.from_port != 0 || edge.to_port != 0 || edge.type != 0) return;
  }
  cudaMemsetParams clear = {};
  clear.dst = word;
  clear.elementSize = sizeof(*word);
  clear.width = clear.height = 1;
  cudaGraphNode_t between = nullptr;
  C10_CUDA_CHECK(cudaGraphRemoveDependencies(graph, &before, &after, nullptr, 1));
  C10_CUDA_CHECK(cudaGraphAddMemsetNode(&between, graph, &before, 1, &clear));
  C10_CUDA_CHECK(cudaGraphAddDependencies(graph, &between, &after, nullptr, 1));
}

/// Streams and pools can be had only once the device was started.
at::cuda::CUDAStream stream_of_a_started_device() {
  at::globalContext().lazyInitDevice(at::kCUDA);
  return at::cuda::getStreamFromPool(/*isHighPriority=*/false);
}

class CudaAccelerator final : public Accelerator {
 public:
  CudaAccelerator() : stream_(stream_of_a_started_device()) {
    // What other streams were given comes first.
    at::cuda::device_synchronize();
    at::cuda::setCurrentCUDAStream(stream_);
    // The same bits run after run: sums in a fixed order, and memory of a fixed size for cuBLAS.
    auto& context = at::globalContext();
    context.setDeterministicAlgorithms(true, /*warn_only=*/false);
    context.setDeterministicFillUninitializedMemory(false);
  }

  std::string name() const override { return at::cuda::getCurrentDeviceProperties()->name; }

  void run(const Work& work) override {
    const cudaStream_t mine = stream_.stream();
    const PoolScope scope(stream_.device_index(), pool_.id(),
                          [mine](cudaStream_t stream) { return stream == mine; });
    work();
  }

  std::unique_ptr<Graph> record(const Work& work) override {
    auto recorded = std::make_unique<CudaGraph>();
    recorded->graph.capture_begin(pool_.id());
    try {
      work();
    } catch (...) {
      try {
        recorded->graph.capture_end();
      } catch (...) {  // the first error is the one to tell
      }
      throw;
    }
    recorded->graph.capture_end();
    let_begin_early(recorded->graph.raw_cuda_graph(), word_.mutable_data_ptr<int32_t>());
    recorded->graph.instantiate();
    return recorded;
  }

  int64_t peak_bytes() const override {
    const auto statistics = memory::getDeviceStats(stream_.device_index());
    constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    return statistics.allocated_bytes[kAll].peak;
  }

 private:
  /// While it lives, memory for the stream comes out of the pool.
  class PoolScope {
   public:
    PoolScope(c10::DeviceIndex device, c10::MempoolId_t pool,
              std::function<bool(cudaStream_t)> filter)
        : device_(device), pool_(pool) {
      memory::beginAllocateToPool(device, pool, std::move(filter));
    }
    ~PoolScope() {
      memory::endAllocateToPool(device_, pool_);
      memory::releasePool(device_, pool_);  // beginning counted one more user
    }
    PoolScope(const PoolScope&) = delete;
    PoolScope& operator=(const PoolScope&) = delete;

   private:
    c10::DeviceIndex device_;
    c10::MempoolId_t pool_;
  };

  at::cuda::CUDAStream stream_;
  at::cuda::MemPool pool_;
  at::Tensor word_ = at::empty({1}, at::TensorOptions().device(at::kCUDA).dtype(at::kInt));
};

}  // namespace
}  // namespace adder::train

extern "C" __attribute__((visibility("default"))) adder::train::Accelerator*
adder_make_accelerator() {
  // Read when cuBLAS is first used: workspaces that do not change with the work before.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  return new adder::train::CudaAccelerator();
}
