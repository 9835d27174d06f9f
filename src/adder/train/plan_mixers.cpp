#include "adder/train/plan_mixers.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <string_view>

#include "adder/base/error.h"
#include "adder/model/mamba1_spec.h"
#include "adder/model/mamba2_spec.h"
#include "adder/model/softmax_spec.h"
#include "adder/model/softmax_window.h"
#include "adder/train/plan_word_ssm.h"

namespace adder::train {
namespace {

double round_up(double value, double step) {
  return std::ceil(value / step) * step;
}

/// nn/mamba2.cpp. Kept: the projection (its parts are views, saved by convolution, scan and gate),
/// the convolved channels, the scan's output, and what goes into out_proj where norm and projection
/// are not one operator.
BlockMemory mamba2(const model::MixerSpec& spec_of_any, const model::LayerPlace& place,
                   const PlanShape& shape) {
  const auto& spec = static_cast<const model::Mamba2Spec&>(spec_of_any);
  const auto s = spec.sizes(place.d_model);
  const double tokens = shape.tokens(), e = static_cast<double>(shape.element);
  const auto d_ssm = static_cast<double>(s.d_ssm), d_mlp = static_cast<double>(s.d_mlp);
  const auto d_inner = static_cast<double>(s.d_inner), conv = static_cast<double>(s.conv_dim);
  const auto in_proj = static_cast<double>(s.in_proj), d_model = static_cast<double>(place.d_model);

  BlockMemory memory;
  const bool at_once = spec.gated_norm != "none" && d_mlp == 0 && !shape.out_proj_adapted;
  const double gated = at_once ? 0 : d_inner;  // what goes into out_proj, if kept
  double channels = in_proj + conv + d_ssm + gated;
  if (spec.gated_norm == "none") channels += d_ssm;  // silu(z), a factor
  if (d_mlp > 0) channels += d_ssm;                  // y beside its copy in the cat
  if (spec.gated_norm == "none" && d_mlp > 0)
    channels -= d_ssm;  // a product keeps its factors only
  memory.kept = tokens * channels * e;
  if (shape.element != 4) memory.weights = e * (in_proj * d_model + d_inner * d_model);

  // kernels/cpu/ssd_gradients.h: dB and dC of every block of at most 6 heads; for each thread the
  // states before the chunks (of 64 tokens) of one block.
  const int64_t heads_a_group = s.heads / spec.n_groups;
  const int64_t blocks = (heads_a_group + 5) / 6;
  const auto keys = static_cast<double>(spec.n_groups * spec.d_state);
  const double chunks = static_cast<double>((shape.length + 63) / 64);
  const int64_t heads = (heads_a_group + blocks - 1) / blocks;
  const double states = chunks * static_cast<double>(heads * spec.head_dim * spec.d_state);
  memory.scan = 4 * (2 * static_cast<double>(blocks) * tokens * keys +
                     static_cast<double>(shape.threads) * states);

  // The largest of three moments of the backward pass, beside the gradients of the block's output
  // and residual: the gate (three gradients of d_ssm, and what goes into out_proj once more where
  // it was not kept), the scan (what was kept of that and the scan's output are free again), the
  // split (the parts' gradients and their sum).
  const double gate = tokens * e * (2 * d_inner - gated + 2 * d_ssm);
  const double scan = tokens * e * (2 * d_ssm + conv - gated - d_ssm) + memory.scan;
  const double split = tokens * e * (2 * in_proj - gated - d_ssm - conv);
  memory.working = std::max({gate, scan, split});
  return memory;
}

/// nn/mamba1.cpp. Kept: both halves of the projection, the convolved channels, delta, what x_proj
/// and the scan give.
BlockMemory mamba1(const model::MixerSpec& spec_of_any, const model::LayerPlace& place,
                   const PlanShape& shape) {
  const auto& spec = static_cast<const model::Mamba1Spec&>(spec_of_any);
  const auto s = spec.sizes(place.d_model);
  const double tokens = shape.tokens(), e = static_cast<double>(shape.element);
  const auto inner = static_cast<double>(s.d_inner), x_proj = static_cast<double>(s.x_proj);
  const auto d_model = static_cast<double>(place.d_model);

  BlockMemory memory;
  double channels = 5 * inner + x_proj;
  if (spec.norm_BCdt) channels += 2 * x_proj;  // the normed parts, and the factors of the norm
  memory.kept = tokens * channels * e;
  if (shape.element != 4) {
    memory.weights = e * inner * (3 * d_model + x_proj + static_cast<double>(s.dt_rank));
  }
  // The scan is the moment of most: the gradient of y and those of u, delta and z, while
  // out_proj's input is free again.
  // Its own memory (kernels/cpu/selective_scan_tile.h, scan_sizes): dB and dC of every block of
  // channels, at most 16 blocks; for each thread the states before a block's tiles of 32 tokens.
  const double block = std::min(round_up(std::ceil(inner / 16), 64), round_up(inner, 16));
  const double blocks = std::ceil(inner / block);
  const double states = round_up(static_cast<double>(spec.d_state), 4);
  const double tiles = std::ceil(static_cast<double>(shape.length) / 32);
  memory.scan =
      4 * states * (2 * blocks * tokens + static_cast<double>(shape.threads) * tiles * block);
  memory.working = tokens * e * 3 * inner + memory.scan;
  return memory;
}

/// nn/softmax.cpp. Kept: the projection (v is a view of it), the convolved channels, the turned
/// queries and keys, what attention gives (of each document and, joined, what goes into out_proj)
/// with the logarithm of each sum; of a window its mask and the keys and values of its blocks; keys
/// and values once for each query head that shares them.
BlockMemory softmax(const model::MixerSpec& spec_of_any, const model::LayerPlace& place,
                    const PlanShape& shape) {
  const auto& spec = static_cast<const model::SoftmaxSpec&>(spec_of_any);
  const auto s = spec.sizes(place.d_model);
  const double tokens = shape.tokens(), e = static_cast<double>(shape.element);
  const auto in_proj = static_cast<double>(s.in_proj), d_inner = static_cast<double>(s.d_inner);
  const auto q = static_cast<double>(s.q), kv = static_cast<double>(s.kv);
  const auto qkv = static_cast<double>(s.qkv), d_mlp = static_cast<double>(spec.d_mlp);
  const auto d_model = static_cast<double>(place.d_model);

  BlockMemory memory;
  double channels = in_proj + 2 * q;
  if (spec.d_conv > 0) channels += qkv;
  if (s.rotary_dim > 0) channels += q + kv;
  if (d_mlp > 0) channels += d_inner;             // what goes into out_proj
  double copies = s.heads == s.kv_heads ? 0 : 1;  // of keys and values, in blocks and for each head
  if (spec.window > 0 && spec.window < shape.length) {
    const auto block = static_cast<double>(model::window_block(spec.window));
    const auto seen = block + static_cast<double>(spec.window) - 1;
    channels += 2 * kv * seen / block;
    copies *= seen / block;
    memory.kept += e * block * seen;
  }
  channels += copies * 2 * q;
  memory.kept += tokens * (channels * e + 4 * static_cast<double>(s.heads));
  if (shape.element != 4) memory.weights = e * (in_proj + d_inner) * d_model;

  // The largest of three moments of the backward pass: attention (the gradients of its output, of
  // each document and joined, and of q, k and v), the rotation (in fp32: both factors' gradients,
  // their sum, and the gradient before it), the split of the projection (the parts' gradients and
  // their sum).
  const double attention = tokens * e * (2 * q + qkv);
  const double rotation = s.rotary_dim > 0 ? tokens * ((q + kv) * (3 * 4 + e) + kv * e) : 0;
  const double split = tokens * e * 2 * in_proj;
  memory.working = std::max({attention, rotation, split});
  return memory;
}

/// nn/mlp.cpp, with what its norm gives and what that keeps: the sum, or its input without a
/// residual stream.
BlockMemory mlp(const model::ModelConfig& config, const PlanShape& shape) {
  if (!config.mlp.given()) return {};
  const auto d = static_cast<double>(config.d_model), e = static_cast<double>(shape.element);
  const auto hidden = static_cast<double>(config.mlp.hidden(config.d_model));
  const bool gated = config.mlp.kind == "swiglu";
  const double sum = config.residual && config.residual_in_fp32 ? 4 : e, tokens = shape.tokens();
  BlockMemory memory;
  // Gated: both halves, the product. Else: before and after gelu.
  memory.kept = tokens * (d * (e + sum) + (gated ? 3 : 2) * hidden * e);
  if (shape.element != 4) memory.weights = e * (gated ? 3 : 2) * hidden * d;
  memory.working = tokens * e * (gated ? 4 : 2) * hidden;
  return memory;
}

using Estimate = BlockMemory (*)(const model::MixerSpec&, const model::LayerPlace&,
                                 const PlanShape&);
// A line for each kind.
const std::map<std::string_view, Estimate> kEstimates = {
    {"mamba1", &mamba1},
    {"mamba2", &mamba2},
    {"softmax", &softmax},
    {"word_ssm", &word_ssm_memory},
};

}  // namespace

BlockMemory block_memory(const model::ModelConfig& config, int64_t layer, const PlanShape& shape) {
  const model::MixerSpec& spec = config.mixer(layer);
  const auto found = kEstimates.find(spec.kind());
  if (found == kEstimates.end()) {
    throw Error(ErrorKind::kUnsupported,
                {.what = "the memory of the mixer '" + std::string(spec.kind()) +
                         "' cannot be planned yet"});
  }
  BlockMemory block = found->second(spec, config.place(layer), shape);
  const BlockMemory after = mlp(config, shape);
  block.kept += after.kept;
  block.weights += after.weights;
  if (after.working > block.working) {  // the moment of most is the MLP's: no scan then
    block.working = after.working;
    block.scan = 0;
  }
  return block;
}

}  // namespace adder::train
