#include "adder/nn/lora.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <filesystem>
#include <set>

#include "adder/base/error.h"
#include "adder/io/file.h"
#include "adder/io/json.h"
#include "adder/io/safetensors.h"

namespace adder::nn {

namespace {

constexpr const char* kTensorFile = "adapter_model.safetensors";
constexpr const char* kPrefix = "base_model.model.";  // the two modules that PEFT wraps around

std::string last_part(const std::string& name) {
  return name.substr(name.rfind('.') + 1);
}

/// The targets as PEFT reads them: the last part of a name means every linear that ends so, and
/// stands only where all of those have an adapter; else the whole names do.
std::set<std::string> target_modules(const model::ModelConfig& config, const Parameters& adapters) {
  std::set<std::string> adapted, partly;
  for (const model::TensorSpec& spec : adapters.specs()) {
    adapted.insert(spec.name.substr(0, spec.name.find(".lora_")));
  }
  for (const std::string& linear : model::linear_names(config)) {
    if (!adapted.contains(linear)) partly.insert(last_part(linear));
  }
  std::set<std::string> modules;
  for (const std::string& linear : adapted) {
    const std::string part = last_part(linear);
    modules.insert(partly.contains(part) ? linear : part);
  }
  return modules;
}

}  // namespace

MergedWeights::MergedWeights(const Parameters& parameters) {
  const c10::NoGradGuard no_grad;
  constexpr std::string_view kWeight = ".weight";
  for (size_t i = 0; i < parameters.specs().size(); ++i) {
    const std::string& name = parameters.specs()[i].name;
    Tensor tensor = parameters.tensors()[i];  // of a linear: (out, in)
    const auto adapter =
        name.ends_with(kWeight)
            ? parameters.adapters().find(name.substr(0, name.size() - kWeight.size()))
            : parameters.adapters().end();
    if (adapter != parameters.adapters().end()) {
      const auto& [A, B, scale] = adapter->second;
      tensor = at::addmm(tensor, B, A, 1, scale);
    }
    tensors_.push_back(tensor.cpu());
    weights_[name] = {tensors_.back().data_ptr(), DType::f32, parameters.specs()[i].shape};
  }
}

void save_adapters(const std::string& folder, const model::ModelConfig& config,
                   const Parameters& adapters, const model::LoraOptions& lora,
                   const std::string& base) {
  std::vector<io::TensorInfo> tensors;
  std::vector<Tensor> here;
  for (size_t i = 0; i < adapters.specs().size(); ++i) {
    const Tensor& tensor = here.emplace_back(adapters.tensors()[i].detach().cpu());
    const auto* bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
    tensors.push_back({kPrefix + adapters.specs()[i].name,
                       DType::f32,
                       tensor.sizes().vec(),
                       {bytes, tensor.nbytes()}});
  }
  io::make_directories(folder);
  io::write_safetensors(std::filesystem::path(folder) / kTensorFile, tensors, {{"format", "pt"}});
  io::write_json_file(std::filesystem::path(folder) / "adapter_config.json",
                      {{"peft_type", "LORA"},
                       {"task_type", "CAUSAL_LM"},
                       {"base_model_name_or_path", base},
                       {"r", lora.rank},
                       {"lora_alpha", lora.alpha},
                       {"lora_dropout", 0.0},
                       {"target_modules", target_modules(config, adapters)},
                       {"bias", "none"},
                       {"fan_in_fan_out", false},
                       {"use_rslora", false},
                       {"inference_mode", true}});
}

void load_adapters(const std::string& folder, Parameters& adapters) {
  const auto stored = io::SafetensorsFile::open(std::filesystem::path(folder) / kTensorFile);
  model::Weights weights;
  for (const model::TensorSpec& spec : adapters.specs()) {
    const io::TensorInfo& tensor = stored.tensor(kPrefix + spec.name);
    weights[spec.name] = {const_cast<std::byte*>(tensor.bytes.data()), tensor.dtype, tensor.shape};
  }
  adapters.load(weights);
}

}  // namespace adder::nn
