// The memory of nn/word_ssm.cpp and nn/word_ssm_forms.cpp (plan_mixers.h).
#pragma once

#include "adder/train/plan_mixers.h"

namespace adder::train {

BlockMemory word_ssm_memory(const model::MixerSpec& spec, const model::LayerPlace& place,
                            const PlanShape& shape);

}  // namespace adder::train
