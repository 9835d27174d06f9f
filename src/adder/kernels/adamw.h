// AdamW (Loshchilov & Hutter, arXiv 1711.05101) over all parameters of a model at once, with the
// global gradient norm clipped (Pascanu et al., arXiv 1211.5063). On devices; what changes from
// step to step stands in device memory, so that a captured step replays unchanged.
//
//   g <- g min(1, clip / norm)                              norm over all gradients together
//   m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2
//   w <- w - lr decay w - lr (m / bias1) / (sqrt(v / bias2) + eps)
#pragma once

#include <cstdint>

#include "adder/base/dtype.h"

namespace adder::kernels {

/// One parameter, dense, everything f32 but the gradient (f32 or bf16). Device pointers.
struct AdamwTensor {
  float* parameter = nullptr;
  const void* gradient = nullptr;  // nullptr: counts as zeros
  float* mean = nullptr;
  float* square = nullptr;
  void* copy = nullptr;  // bf16 copy of the parameter, written with it; optional
  int64_t count = 0;
  DType gradient_dtype = DType::f32;
  float decay = 0;
};

/// What a step brings; in device memory.
struct AdamwStep {
  double lr = 0;
  double bias1 = 1, bias2 = 1;  // 1 - beta^t
  double clip = 0;              // 0: none
  double loss_limit = 0;        // a loss above it leaves the step out; infinity: none does
};

/// What came of it; in device memory. `loss` is there before, mean of the step in nats.
struct AdamwReport {
  double loss = 0;
  double norm = 0;     // before clipping
  double applied = 0;  // 1; or 0, and nothing changed: loss or norm is not finite, or the loss is
                       // above its limit
};

struct AdamwTensors {
  const AdamwTensor* tensors = nullptr;  // in host memory, read before the call returns
  int64_t count = 0;
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  const AdamwStep* step = nullptr;  // device
  AdamwReport* report = nullptr;  // device: gradient_norm writes norm and applied, adamw reads them
};

}  // namespace adder::kernels
