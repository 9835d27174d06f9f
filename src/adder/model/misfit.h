// What a foreign layout cannot say.
#pragma once

#include <optional>
#include <string>

#include "adder/base/error.h"
#include "adder/model/config.h"

namespace adder::model {

/// An option that a layout has no field for, and its value.
struct Misfit {
  std::string option;  // "mamba2.D_has_head_dim"
  std::string value;   // "true"
};

/// What every foreign layout takes for granted about the stack.
inline std::optional<Misfit> stack_misfit(const ModelConfig& config) {
  if (!config.normed()) return Misfit{"norm", config.norm};
  if (!config.residual) return Misfit{"residual", "false"};
  if (config.head_bias) return Misfit{"head_bias", "true"};
  return std::nullopt;
}

/// Throws kUnsupported naming the option when there is one. `layout`: "Hugging Face's layout".
inline void require_fit(const std::string& layout, const std::optional<Misfit>& misfit) {
  if (!misfit) return;
  throw Error(ErrorKind::kUnsupported,
              {.what = layout + " cannot express this model",
               .where = misfit->option,
               .why = misfit->option + " = " + misfit->value + " has no field there",
               .next = "keep the model in Adder's own layout"});
}

}  // namespace adder::model
