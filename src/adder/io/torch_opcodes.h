// The white list of the pickles that Adder reads and writes: opcodes and globals.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "adder/base/dtype.h"

namespace adder::io {

enum class Opcode : uint8_t {
  kProtocol = 0x80,
  kStop = '.',
  kMark = '(',
  kGlobal = 'c',
  kPersistent = 'Q',
  kReduce = 'R',
  kBuild = 'b',
  // constants
  kNone = 'N',
  kTrue = 0x88,
  kFalse = 0x89,
  kInt1 = 'K',
  kInt2 = 'M',
  kInt4 = 'J',
  kLong1 = 0x8a,
  kReal = 'G',
  kText = 'X',
  // containers
  kEmptyTuple = ')',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kTuple = 't',
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  // memo
  kPut = 'q',
  kLongPut = 'r',
  kGet = 'h',
  kLongGet = 'j',
};

enum class OpcodeGroup { kMachine, kConstant, kContainer, kMemo, kUnknown };

/// kUnknown for every byte that is not in the list; kProtocol too, which only begins a pickle.
OpcodeGroup group_of(Opcode opcode);

inline constexpr std::string_view kOrderedDict = "collections.OrderedDict";
inline constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor_v2";
inline constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";

struct TorchGlobal {
  std::string_view name;         // "torch.FloatStorage"
  std::optional<DType> storage;  // of a type of storage: its elements
};

std::span<const TorchGlobal> torch_globals();
/// Null when it is not in the list.
const TorchGlobal* find_torch_global(std::string_view name);
/// "FloatStorage"
std::string_view torch_storage_name(DType dtype);

}  // namespace adder::io
