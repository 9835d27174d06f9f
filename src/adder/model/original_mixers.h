// The options of the Mamba authors' mixers: the arguments of their classes, as ssm_cfg and attn_cfg
// hold them.
#pragma once

#include "adder/model/config_fields.h"
#include "adder/model/mamba1_spec.h"
#include "adder/model/mamba2_spec.h"
#include "adder/model/misfit.h"
#include "adder/model/softmax_spec.h"

namespace adder::model {

/// The fields of one class and the keys that change nothing, which reading skips.
void read_original(const io::JsonView& cfg, Mamba1Spec& mixer);
void read_original(const io::JsonView& cfg, Mamba2Spec& mixer);
void read_original(const io::JsonView& cfg, SoftmaxSpec& mixer, int64_t d_model);

std::optional<Misfit> original_misfit(const Mamba1Spec& mixer);
std::optional<Misfit> original_misfit(const Mamba2Spec& mixer);
std::optional<Misfit> original_misfit(const SoftmaxSpec& mixer);

io::Json write_original(Mamba1Spec mixer);
io::Json write_original(Mamba2Spec mixer);
io::Json write_original(SoftmaxSpec mixer, int64_t d_model);

/// What the package has no field for: the eps of its norms.
inline constexpr double kOriginalEps = 1e-5;

}  // namespace adder::model
