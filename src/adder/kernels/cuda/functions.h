// What the sources of this folder give to the table (../cuda_kernels.h).
#pragma once

#include "adder/kernels/cuda_kernels.h"

namespace adder::kernels::cuda {

DeviceAnswer device_info(int32_t device, DeviceInfo& info);

DeviceAnswer ssd(const SsdInputs& in, const SsdOutputs& out, const DeviceWork& work);
DeviceAnswer ssd_backward(const SsdInputs& in, const SsdGradients& grads, const DeviceWork& work);
DeviceAnswer ssd_update(const SsdUpdate& args, const DeviceWork& work);

DeviceAnswer causal_conv1d(const Conv1dInputs& in, const Conv1dOutputs& out,
                           const DeviceWork& work);
DeviceAnswer causal_conv1d_backward(const Conv1dInputs& in, const Conv1dGradients& grads,
                                    const DeviceWork& work);
DeviceAnswer causal_conv1d_update(const Conv1dUpdate& args, const DeviceWork& work);

DeviceAnswer rms_norm(const RmsNormInputs& in, const RmsNormOutputs& out, const DeviceWork& work);
DeviceAnswer rms_norm_backward(const RmsNormInputs& in, const RmsNormGradients& grads,
                               const DeviceWork& work);
DeviceAnswer gated_rms_norm(const GatedRmsNormInputs& in, const View<2>& y, const DeviceWork& work);
DeviceAnswer gated_rms_norm_backward(const GatedRmsNormInputs& in,
                                     const GatedRmsNormGradients& grads, const DeviceWork& work);

DeviceAnswer cross_entropy_tile(const CrossEntropyTile& tile, const DeviceWork& work);

DeviceAnswer embedding(const EmbeddingRows& args, const DeviceWork& work);
DeviceAnswer embedding_backward(const EmbeddingGradient& args, const DeviceWork& work);
DeviceAnswer swiglu(const SwigluInputs& in, const View<2>& y, const DeviceWork& work);
DeviceAnswer swiglu_backward(const SwigluInputs& in, const SwigluGradients& grads,
                             const DeviceWork& work);
DeviceAnswer rotary(const RotaryTokens& args, const DeviceWork& work);

DeviceAnswer draw(const Draw& what, int64_t count, float* out, const DeviceWork& work);

DeviceAnswer gradient_norm(const AdamwTensors& tensors, const DeviceWork& work);
DeviceAnswer adamw(const AdamwTensors& tensors, const DeviceWork& work);

}  // namespace adder::kernels::cuda
