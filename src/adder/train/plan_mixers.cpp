#include "adder/train/plan_mixers.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

#include "adder/base/error.h"
#include "adder/model/mamba2_spec.h"

namespace adder::train {
namespace {

/// nn/mamba2.cpp. Kept: the projection (its parts are views, saved by convolution, scan and gate),
/// the convolved channels, the scan's output, and what goes into out_proj.
MixerMemory mamba2(const model::MixerSpec& spec_of_any, const model::LayerPlace& place,
                   const PlanShape& shape) {
  const auto& spec = static_cast<const model::Mamba2Spec&>(spec_of_any);
  const auto s = spec.sizes(place.d_model);
  const double tokens = shape.tokens(), e = static_cast<double>(shape.element);
  const auto d_ssm = static_cast<double>(s.d_ssm), d_mlp = static_cast<double>(s.d_mlp);
  const auto d_inner = static_cast<double>(s.d_inner), conv = static_cast<double>(s.conv_dim);
  const auto in_proj = static_cast<double>(s.in_proj), d_model = static_cast<double>(place.d_model);

  MixerMemory memory;
  double channels = in_proj + conv + d_ssm + d_inner;
  if (spec.gated_norm == "none") channels += d_ssm;  // silu(z), a factor
  if (d_mlp > 0) channels += d_mlp + d_ssm;          // silu(z_mlp); y beside its copy in the cat
  if (spec.gated_norm == "none" && d_mlp > 0)
    channels -= d_ssm;  // a product keeps its factors only
  memory.kept = tokens * channels * e;
  if (shape.element != 4) memory.weights = e * (in_proj * d_model + d_inner * d_model);

  // kernels/cpu/ssd_gradients.h: dB and dC of every block of at most 6 heads; for each thread the
  // states before the chunks (of 64 tokens) of one block.
  const int64_t heads_a_group = s.heads / spec.n_groups;
  const auto blocks = static_cast<double>((heads_a_group + 5) / 6);
  const auto keys = static_cast<double>(spec.n_groups * spec.d_state);
  const double chunks = static_cast<double>((shape.length + 63) / 64);
  const double states = static_cast<double>(std::min<int64_t>(6, heads_a_group)) * chunks *
                        static_cast<double>(spec.head_dim * spec.d_state);
  memory.scan = 4 * (2 * blocks * tokens * keys + static_cast<double>(shape.threads) * states);

  // The largest of three moments of the backward pass, beside the gradients of the block's output
  // and residual: the gate (three gradients of d_ssm), the scan (out_proj's input and the scan's
  // output are free again), the split (the parts' gradients and their sum).
  const double gate = tokens * e * (d_inner + 2 * d_ssm);
  const double scan = tokens * e * (2 * d_ssm + conv - d_inner - d_ssm) + memory.scan;
  const double split = tokens * e * (2 * in_proj - d_inner - d_ssm - conv);
  memory.working = std::max({gate, scan, split});
  return memory;
}

using Estimate = MixerMemory (*)(const model::MixerSpec&, const model::LayerPlace&,
                                 const PlanShape&);
// A line for each kind.
const std::map<std::string_view, Estimate> kEstimates = {
    {"mamba2", &mamba2},
};

}  // namespace

MixerMemory mixer_memory(const model::ModelConfig& config, int64_t layer, const PlanShape& shape) {
  const model::MixerSpec& spec = config.mixer(layer);
  const auto found = kEstimates.find(spec.kind());
  if (found == kEstimates.end()) {
    throw Error(ErrorKind::kUnsupported,
                {.what = "the memory of the mixer '" + std::string(spec.kind()) +
                         "' cannot be planned yet"});
  }
  return found->second(spec, config.place(layer), shape);
}

}  // namespace adder::train
