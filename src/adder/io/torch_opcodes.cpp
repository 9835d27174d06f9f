#include "adder/io/torch_opcodes.h"

#include <algorithm>
#include <array>

#include "adder/base/error.h"

namespace adder::io {
namespace {

constexpr std::string_view kTorch = "torch.";

constexpr std::array<TorchGlobal, 13> kGlobals = {{
    {kOrderedDict, std::nullopt},
    {kRebuildTensor, std::nullopt},
    {kRebuildParameter, std::nullopt},
    {"torch.FloatStorage", DType::f32},
    {"torch.HalfStorage", DType::f16},
    {"torch.BFloat16Storage", DType::bf16},
    {"torch.DoubleStorage", DType::f64},
    {"torch.LongStorage", DType::i64},
    {"torch.IntStorage", DType::i32},
    {"torch.ShortStorage", DType::i16},
    {"torch.CharStorage", DType::i8},
    {"torch.ByteStorage", DType::u8},
    {"torch.BoolStorage", DType::boolean},
}};

}  // namespace

OpcodeGroup group_of(Opcode opcode) {
  constexpr std::string_view machine = ".(cQRb";
  constexpr std::string_view constants = "N\x88\x89KMJ\x8aGX";
  constexpr std::string_view containers = ")\x85\x86\x87t]ae}su";
  constexpr std::string_view memo = "qrhj";
  const auto in = [opcode](std::string_view list) {
    return list.find(static_cast<char>(opcode)) != std::string_view::npos;
  };
  if (in(machine)) return OpcodeGroup::kMachine;
  if (in(constants)) return OpcodeGroup::kConstant;
  if (in(containers)) return OpcodeGroup::kContainer;
  return in(memo) ? OpcodeGroup::kMemo : OpcodeGroup::kUnknown;
}

std::span<const TorchGlobal> torch_globals() {
  return kGlobals;
}

const TorchGlobal* find_torch_global(std::string_view name) {
  const auto found = std::ranges::find(kGlobals, name, &TorchGlobal::name);
  return found == kGlobals.end() ? nullptr : &*found;
}

std::string_view torch_storage_name(DType dtype) {
  const auto found = std::ranges::find(kGlobals, std::optional(dtype), &TorchGlobal::storage);
  if (found == kGlobals.end()) {
    throw Error(ErrorKind::kUnsupported,
                {.what = "a torch file does not hold " + std::string(to_string(dtype))});
  }
  return found->name.substr(kTorch.size());
}

}  // namespace adder::io
