#include "adder/model/mixer_spec.h"

#include <cmath>

#include "adder/base/error.h"
#include "adder/model/mamba1_spec.h"
#include "adder/model/mamba2_spec.h"
#include "adder/model/softmax_spec.h"
#include "adder/model/word_ssm_spec.h"

namespace adder::model {
namespace {

/// Every kind that there is, with its defaults: one line each.
std::vector<std::unique_ptr<MixerSpec>> all_kinds() {
  std::vector<std::unique_ptr<MixerSpec>> kinds;
  kinds.push_back(std::make_unique<Mamba1Spec>());
  kinds.push_back(std::make_unique<Mamba2Spec>());
  kinds.push_back(std::make_unique<SoftmaxSpec>());
  kinds.push_back(std::make_unique<WordSsmSpec>());
  return kinds;
}

}  // namespace

double LayerPlace::output_scale() const {
  return branches == 0 ? 1 : 1 / std::sqrt(static_cast<double>(branches * n_layer));
}

MixerSet::MixerSet() {
  for (auto& spec : all_kinds()) {
    std::string kind(spec->kind());
    specs_.emplace(std::move(kind), std::move(spec));
  }
}

MixerSet::MixerSet(const MixerSet& other) {
  for (const auto& [kind, spec] : other.specs_) specs_.emplace(kind, spec->clone());
}

MixerSet& MixerSet::operator=(const MixerSet& other) {
  if (this != &other) *this = MixerSet(other);
  return *this;
}

const MixerSpec& MixerSet::at(std::string_view kind) const {
  if (const auto found = specs_.find(kind); found != specs_.end()) return *found->second;
  const std::string near = nearest(kind, kinds());
  std::string known;
  for (const std::string& name : kinds()) known += (known.empty() ? "" : ", ") + name;
  throw Error(ErrorKind::kConfig, {.what = "there is no mixer '" + std::string(kind) + "'",
                                   .where = "layers",
                                   .why = "known mixers: " + known,
                                   .next = near.empty() ? "" : "did you mean '" + near + "'?"});
}

MixerSpec& MixerSet::at(std::string_view kind) {
  return const_cast<MixerSpec&>(static_cast<const MixerSet&>(*this).at(kind));
}

std::vector<std::string> MixerSet::kinds() const {
  std::vector<std::string> names;
  for (const auto& [kind, spec] : specs_) names.push_back(kind);
  return names;
}

void MixerSet::describe(OptionVisitor& visitor) {
  for (auto& [kind, spec] : specs_) visitor.group(kind, *spec);
}

}  // namespace adder::model
