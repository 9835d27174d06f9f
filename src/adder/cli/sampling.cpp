#include "adder/cli/sampling.h"

#include "adder/data/unescape.h"

namespace adder::cli {

std::vector<OptionEntry> generation_entries(infer::GenerateOptions& options) {
  constexpr std::string_view kGroup = "sampler.";
  auto entries = flatten(options);
  std::erase_if(entries, [](const OptionEntry& entry) { return entry.key == "stop"; });
  for (auto& entry : entries) {
    if (entry.key.starts_with(kGroup)) entry.key.erase(0, kGroup.size());
  }
  return entries;
}

void add_generation_flags(Arguments& args, infer::GenerateOptions& options) {
  args.options(generation_entries(options));
  args.texts("stop", options.stop, "text that ends the answer, \\n and \\t understood");
}

void check_generation(infer::GenerateOptions& options) {
  for (auto& text : options.stop) text = data::unescape(text);
  options.check();
}

std::string describe_sampler(infer::GenerateOptions options) {
  const infer::SamplerOptions off;
  infer::SamplerOptions plain = off;
  const auto defaults = flatten(plain);
  std::string text;
  const auto entries = flatten(options.sampler);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& key = entries[i].key;
    const std::string value = to_text(entries[i].value);
    if (key != "temperature" && key != "seed" && value == to_text(defaults[i].value)) continue;
    text += (text.empty() ? "" : ", ") + key + " " + value;
  }
  return text;
}

int64_t seed_of(int64_t seed, int64_t index) {
  return static_cast<int64_t>(static_cast<uint64_t>(seed) + static_cast<uint64_t>(index));
}

}  // namespace adder::cli
