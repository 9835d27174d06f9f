#include "adder/model/lora.h"

#include <algorithm>
#include <set>

#include "adder/base/list_text.h"
#include "adder/model/option_check.h"

namespace adder::model {
namespace {

constexpr std::string_view kWeight = ".weight";

bool is_linear(const TensorSpec& spec) {
  return spec.shape.size() == 2 && spec.name.starts_with("backbone.layers.") &&
         spec.name.ends_with(kWeight);
}

std::string without_weight(const std::string& name) {
  return name.substr(0, name.size() - kWeight.size());
}

bool means(const std::string& target, const std::string& linear) {
  return target == "all" || linear == target || linear.ends_with("." + target);
}

/// "in_proj, out_proj": the last parts of the names, each once.
std::string endings(const std::vector<std::string>& linears) {
  std::set<std::string> seen;
  for (const std::string& name : linears) seen.insert(name.substr(name.rfind('.') + 1));
  std::string text;
  for (const std::string& one : seen) text += (text.empty() ? "" : ", ") + one;
  return text;
}

}  // namespace

void LoraOptions::describe(OptionVisitor& v) {
  v.field("rank", rank, "rank of the adapters that are trained in place of the model; 0: none");
  v.field("alpha", alpha, "adapters are scaled by alpha / rank");
  v.field("targets", targets, "linears that get an adapter, by name; all: every one");
}

void LoraOptions::check() const {
  require_within("train.lora.rank", rank, 0, kMaxWidth);
  require_number("train.lora.alpha", alpha, 0, 1e6, true);
  if (given() && targets.empty()) {
    fail_option("train.lora.targets", "", "no linear is named; all: every one");
  }
  if (given()) return;
  constexpr const char* kNoRank = "it means nothing without adapters: give train.lora.rank too";
  const LoraOptions unsaid;
  if (alpha != unsaid.alpha) {
    double value = alpha;  // an OptionRef is no view of what is const
    fail_option("train.lora.alpha", to_text(OptionRef(&value)), kNoRank);
  }
  if (targets != unsaid.targets) fail_option("train.lora.targets", join_list(targets), kNoRank);
}

std::vector<std::string> linear_names(const ModelConfig& config) {
  std::vector<std::string> names;
  for (const TensorSpec& spec : tensor_specs(config)) {
    if (is_linear(spec)) names.push_back(without_weight(spec.name));
  }
  return names;
}

std::vector<std::string> lora_linears(const ModelConfig& config, const LoraOptions& lora) {
  const std::vector<std::string> all = linear_names(config);
  for (const std::string& target : lora.targets) {
    if (std::any_of(all.begin(), all.end(), [&](const auto& name) { return means(target, name); }))
      continue;
    fail_option("train.lora.targets", join_list(lora.targets),
                "the model has no linear named '" + target + "'; it has " + endings(all));
  }
  std::vector<std::string> chosen;
  for (const std::string& name : all) {
    const auto meant = [&](const std::string& target) { return means(target, name); };
    if (std::any_of(lora.targets.begin(), lora.targets.end(), meant)) chosen.push_back(name);
  }
  return chosen;
}

std::vector<TensorSpec> lora_specs(const ModelConfig& config, const LoraOptions& lora) {
  if (lora.rank > config.d_model) {
    fail_option("train.lora.rank", std::to_string(lora.rank),
                "adapters wider than the model (d_model = " + std::to_string(config.d_model) +
                    ") save nothing");
  }
  const std::vector<std::string> chosen = lora_linears(config, lora);
  const std::set<std::string> names(chosen.begin(), chosen.end());
  std::vector<TensorSpec> specs;
  for (const TensorSpec& spec : tensor_specs(config)) {
    if (!is_linear(spec) || !names.contains(without_weight(spec.name))) continue;
    const std::string name = without_weight(spec.name);
    const int64_t out = spec.shape[0], in = spec.shape[1];
    specs.push_back({name + ".lora_A.weight", {lora.rank, in}, uniform_fan_in(in), /*decay=*/true});
    specs.push_back({name + ".lora_B.weight", {out, lora.rank}, Init{}, /*decay=*/true});
  }
  return specs;
}

}  // namespace adder::model
