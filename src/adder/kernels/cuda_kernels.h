// The kernels of libadder_cuda.so as a table of functions. That library is a plug-in: it is found
// beside this one when the program runs, and nothing above it sees a CUDA header. Views hold device
// pointers there; shapes, layouts and meaning are those of the header of each operator. What only
// the device differs in is said here:
//
//   f64 is not taken. Outputs never alias inputs unless said. Sums are taken in a fixed order: the
//   same call on the same kind of device gives the same bits.
#pragma once

#include <cstdint>
#include <string>

#include "adder/base/draw.h"
#include "adder/kernels/adamw.h"
#include "adder/kernels/causal_conv1d.h"
#include "adder/kernels/cross_entropy.h"
#include "adder/kernels/embedding.h"
#include "adder/kernels/gated_rms_norm.h"
#include "adder/kernels/rms_norm.h"
#include "adder/kernels/rotary.h"
#include "adder/kernels/ssd.h"
#include "adder/kernels/swiglu.h"

namespace adder::kernels {

/// Where and with what memory a device function works. A call gives work to the stream and returns.
class DeviceWork {
 public:
  virtual ~DeviceWork() = default;
  virtual void* stream() const = 0;  // a CUstream of the current device
  /// Device memory, 256-byte aligned, uninitialised, valid for all that this call gives to the
  /// stream.
  virtual void* take(int64_t bytes) const = 0;
};

struct DeviceInfo {
  char name[256];
  int32_t major, minor;  // compute capability
  int32_t multiprocessors;
  int64_t memory_bytes, l2_bytes;
};

/// nullptr: the work was given to the stream; else what is wrong, in words that outlive the call.
using DeviceAnswer = const char*;

struct CudaKernels {
  int32_t version;  // kCudaKernelsVersion of the library

  DeviceAnswer (*device_info)(int32_t device, DeviceInfo& info);

  DeviceAnswer (*ssd)(const SsdInputs&, const SsdOutputs&, const DeviceWork&);
  DeviceAnswer (*ssd_backward)(const SsdInputs&, const SsdGradients&, const DeviceWork&);
  DeviceAnswer (*ssd_update)(const SsdUpdate&, const DeviceWork&);

  DeviceAnswer (*causal_conv1d)(const Conv1dInputs&, const Conv1dOutputs&, const DeviceWork&);
  DeviceAnswer (*causal_conv1d_backward)(const Conv1dInputs&, const Conv1dGradients&,
                                         const DeviceWork&);
  DeviceAnswer (*causal_conv1d_update)(const Conv1dUpdate&, const DeviceWork&);

  DeviceAnswer (*rms_norm)(const RmsNormInputs&, const RmsNormOutputs&, const DeviceWork&);
  DeviceAnswer (*rms_norm_backward)(const RmsNormInputs&, const RmsNormGradients&,
                                    const DeviceWork&);
  DeviceAnswer (*gated_rms_norm)(const GatedRmsNormInputs&, const View<2>& y, const DeviceWork&);
  DeviceAnswer (*gated_rms_norm_backward)(const GatedRmsNormInputs&, const GatedRmsNormGradients&,
                                          const DeviceWork&);

  /// Losses and gradients of a tile of logits in one pass (cross_entropy.h says what of).
  DeviceAnswer (*cross_entropy_tile)(const CrossEntropyTile&, const DeviceWork&);

  DeviceAnswer (*embedding)(const EmbeddingRows&, const DeviceWork&);
  DeviceAnswer (*embedding_backward)(const EmbeddingGradient&, const DeviceWork&);

  DeviceAnswer (*swiglu)(const SwigluInputs&, const View<2>& y, const DeviceWork&);
  DeviceAnswer (*swiglu_backward)(const SwigluInputs&, const SwigluGradients&, const DeviceWork&);

  /// Either direction: the gradient is turned back.
  DeviceAnswer (*rotary)(const RotaryTokens&, const DeviceWork&);

  /// out (count) f32, dense: the elements of `what` from the first on, the bits of the CPU's.
  DeviceAnswer (*draw)(const Draw& what, int64_t count, float* out, const DeviceWork&);

  DeviceAnswer (*gradient_norm)(const AdamwTensors&, const DeviceWork&);
  DeviceAnswer (*adamw)(const AdamwTensors&, const DeviceWork&);
};

inline constexpr int32_t kCudaKernelsVersion = 2;
/// extern "C" const CudaKernels* adder_cuda_kernels();
inline constexpr const char* kCudaKernelsSymbol = "adder_cuda_kernels";

/// The table, when the library is there and a device answers; else nullptr. Looked for once.
const CudaKernels* cuda_kernels();

/// Why cuda_kernels() is nullptr: the words of the dynamic linker, "no CUDA device: ...".
const std::string& cuda_kernels_missing();

}  // namespace adder::kernels
