// The pickle inside a torch file, read as data: nothing that it names is ever run. What torch.save
// writes for a dictionary of tensors (pickle protocol 2) is understood; every other opcode and
// every other global is refused by name. Opcodes: Python's Lib/pickletools.py.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "adder/base/dtype.h"

namespace adder::io {

/// A tensor as the pickle describes it: a strided view of a storage. Nothing is checked against the
/// storage's bytes yet.
struct SavedTensor {
  std::string name;
  std::string storage;  // the name of an entry under data/
  DType dtype = DType::f32;
  int64_t storage_elements = 0;  // what the pickle says that the storage holds
  int64_t offset = 0;            // in elements
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // in elements, as many as dimensions
};

/// The tensors of the dictionary in its order; no name twice. `where` names the file. Throws
/// kFormat for a malformed pickle, kUnsupported for one that holds anything else than tensors.
std::vector<SavedTensor> parse_torch_pickle(std::string_view pickle, const std::string& where);

/// The pickle of a dictionary of tensors, in the opcodes above and no others; row-major tensors.
std::string format_torch_pickle(const std::vector<SavedTensor>& tensors);

}  // namespace adder::io
