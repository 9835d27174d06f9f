#include "adder/io/torch_opcodes.h"
#include "adder/io/torch_pickle.h"

namespace adder::io {
namespace {

class Pickler {
 public:
  Pickler& op(Opcode opcode) {
    text_ += static_cast<char>(opcode);
    return *this;
  }
  Pickler& little_endian(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) text_ += static_cast<char>(value >> (8 * i) & 0xff);
    return *this;
  }
  Pickler& integer(int64_t value) {
    return op(Opcode::kLong1).little_endian(8, 1).little_endian(static_cast<uint64_t>(value), 8);
  }
  Pickler& integers(const std::vector<int64_t>& values) {
    op(Opcode::kMark);
    for (const int64_t value : values) integer(value);
    return op(Opcode::kTuple);
  }
  Pickler& text(std::string_view value) {
    op(Opcode::kText).little_endian(value.size(), 4);
    text_ += value;
    return *this;
  }
  /// "torch.FloatStorage": what stands before the last point is the module.
  Pickler& global(std::string_view name) {
    const std::size_t point = name.rfind('.');
    op(Opcode::kGlobal);
    text_ += name.substr(0, point);
    text_ += '\n';
    text_ += name.substr(point + 1);
    text_ += '\n';
    return *this;
  }
  std::string finish() { return std::move(op(Opcode::kStop).text_); }

 private:
  std::string text_;
};

void put_tensor(Pickler& out, const SavedTensor& tensor) {
  out.text(tensor.name).global(kRebuildTensor).op(Opcode::kMark);
  out.op(Opcode::kMark)
      .text("storage")
      .global("torch." + std::string(torch_storage_name(tensor.dtype)))
      .text(tensor.storage)
      .text("cpu")
      .integer(tensor.storage_elements)
      .op(Opcode::kTuple)
      .op(Opcode::kPersistent);
  out.integer(tensor.offset).integers(tensor.shape).integers(tensor.strides).op(Opcode::kFalse);
  out.global(kOrderedDict).op(Opcode::kEmptyTuple).op(Opcode::kReduce);
  out.op(Opcode::kTuple).op(Opcode::kReduce);
}

}  // namespace

std::string format_torch_pickle(const std::vector<SavedTensor>& tensors) {
  Pickler out;
  out.op(Opcode::kProtocol).little_endian(2, 1).op(Opcode::kEmptyDict).op(Opcode::kMark);
  for (const SavedTensor& tensor : tensors) put_tensor(out, tensor);
  return out.op(Opcode::kSetItems).finish();
}

}  // namespace adder::io
