#include "adder/io/torch_pickle.h"

#include <array>
#include <cctype>
#include <set>
#include <unordered_map>
#include <utility>

#include "adder/base/checked.h"
#include "adder/io/byte_cursor.h"
#include "adder/io/safetensors_header.h"
#include "adder/io/torch_opcodes.h"
#include "adder/io/utf8.h"

namespace adder::io {
namespace {

// Bound the memory that a small file can take.
constexpr std::size_t kMaxValues = std::size_t{1} << 21;
constexpr std::size_t kMaxKeyBytes = 255;  // of a storage: torch writes small numbers

constexpr const char* kTooMany = "it holds too many tensors";

enum class Kind {
  kNone,
  kBool,
  kInteger,
  kReal,
  kText,
  kTuple,
  kList,
  kDict,
  kGlobal,
  kStorage,
  kTensor
};

constexpr const char* kKindNames[] = {"None",       "a flag",    "an integer", "a number",
                                      "a text",     "a tuple",   "a list",     "a dictionary",
                                      "a function", "a storage", "a tensor"};

/// Values name each other by number and live side by side: no depth, no cycle and no repeated
/// reference costs more than the bytes that made it.
using Id = uint32_t;

struct Value {
  Kind kind = Kind::kNone;
  int64_t integer = 0;    // of kBool, kInteger; of kStorage, kTensor: the place in the table
  std::string_view text;  // of kText; "module name" of kGlobal
  std::vector<Id> items;  // of kTuple, kList; key, value, key, value ... of kDict
};

struct Storage {
  std::string_view key;
  DType dtype = DType::f32;
  int64_t elements = 0;
};

/// A view of a storage.
struct View {
  std::size_t storage = 0;  // its place in the table
  int64_t offset = 0;
  std::vector<int64_t> shape, strides;
};

class Unpickler {
 public:
  Unpickler(std::string_view pickle, const std::string& where)
      : in_(pickle, "the pickle", where), where_(where) {}

  std::vector<SavedTensor> run();

 private:
  [[noreturn]] void refuse(const std::string& why, ErrorKind kind = ErrorKind::kFormat) const {
    throw Error(kind,
                {.what = "this pickle is not a plain dictionary of tensors",
                 .where = where_ + ", byte " + std::to_string(in_.position()) + " of the pickle",
                 .why = why,
                 .next = kind == ErrorKind::kUnsupported
                             ? "save the tensors alone: torch.save(model.state_dict(), FILE)"
                             : ""});
  }
  void require(bool fine, const char* why) const {
    if (!fine) refuse(why);
  }

  bool step(Opcode opcode);  // false: STOP
  void step_constant(Opcode opcode);
  void step_container(Opcode opcode);
  void step_memo(Opcode opcode);

  void push(Value value);
  void push_again(Id id);
  Id pop();
  std::vector<Id> pop_to_mark();
  void push_tuple(std::vector<Id> items) {
    push({.kind = Kind::kTuple, .items = std::move(items)});
  }
  void set_items(const std::vector<Id>& items);
  const Value& as(Id id, Kind kind, const char* what) const;
  int64_t size_of_value(Id id, const char* what) const;
  std::vector<int64_t> sizes(Id id, const char* what) const;

  void global();
  void persistent();
  void reduce();
  void rebuild_tensor(const std::vector<Id>& arguments);
  void build();
  std::vector<SavedTensor> named_tensors(Id root) const;

  ByteCursor in_;
  std::string where_;
  std::vector<Value> values_;
  std::vector<Id> stack_;
  std::vector<std::size_t> marks_;  // heights of the stack
  std::unordered_map<uint64_t, Id> memo_;
  std::vector<Storage> storages_;
  std::vector<View> tensors_;
};

void Unpickler::push(Value value) {
  require(values_.size() < kMaxValues, "it builds more than two million objects");
  push_again(static_cast<Id>(values_.size()));
  values_.push_back(std::move(value));
}

void Unpickler::push_again(Id id) {
  require(stack_.size() < kMaxValues, "its stack is higher than two million");
  stack_.push_back(id);
}

Id Unpickler::pop() {
  const std::size_t floor = marks_.empty() ? 0 : marks_.back();
  require(stack_.size() > floor, "it takes from an empty stack");
  const Id id = stack_.back();
  stack_.pop_back();
  return id;
}

std::vector<Id> Unpickler::pop_to_mark() {
  require(!marks_.empty(), "a mark is missing");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<Id> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

const Value& Unpickler::as(Id id, Kind kind, const char* what) const {
  const Value& value = values_[id];
  if (value.kind != kind) {
    refuse(std::string(what) + " is " + kKindNames[static_cast<int>(value.kind)] + ", not " +
           kKindNames[static_cast<int>(kind)]);
  }
  return value;
}

int64_t Unpickler::size_of_value(Id id, const char* what) const {
  const int64_t size = as(id, Kind::kInteger, what).integer;
  if (size < 0) refuse(std::string(what) + " is negative: " + std::to_string(size));
  return size;
}

std::vector<int64_t> Unpickler::sizes(Id id, const char* what) const {
  std::vector<int64_t> list;
  for (const Id item : as(id, Kind::kTuple, what).items) list.push_back(size_of_value(item, what));
  if (list.size() > kMaxDimensions) refuse(std::string(what) + " has too many dimensions");
  return list;
}

// Pairs of key and value go into the dictionary on top of the stack.
void Unpickler::set_items(const std::vector<Id>& items) {
  require(items.size() % 2 == 0, "a key has no value");
  const Id target = pop();
  as(target, Kind::kDict, "what items are set in");
  auto& held = values_[target].items;
  held.insert(held.end(), items.begin(), items.end());
  stack_.push_back(target);
}

void Unpickler::global() {
  const std::string_view module = in_.line(), name = in_.line();
  const std::string full = std::string(module) + "." + std::string(name);
  const TorchGlobal* known = find_torch_global(full);
  if (known == nullptr) {
    refuse("it asks for " + (is_utf8(full) ? full.substr(0, 200) : "an unreadable name") +
               ", which is not on the list of what a file of tensors needs",
           ErrorKind::kUnsupported);
  }
  push({.kind = Kind::kGlobal, .integer = known - torch_globals().data(), .text = known->name});
}

// ("storage", torch.FloatStorage, key, location, elements)
void Unpickler::persistent() {
  const std::vector<Id> fields = as(pop(), Kind::kTuple, "a persistent id").items;
  require(fields.size() == 5, "a persistent id does not have five fields");
  require(as(fields[0], Kind::kText, "the kind of a persistent id").text == "storage",
          "a persistent id is not a storage");
  const TorchGlobal& type = torch_globals()[static_cast<std::size_t>(
      as(fields[1], Kind::kGlobal, "the type of a storage").integer)];
  if (!type.storage) refuse(std::string(type.name) + " is not a type of storage");
  const std::string_view key = as(fields[2], Kind::kText, "the key of a storage").text;
  require(key.size() <= kMaxKeyBytes, "the key of a storage is too long");
  const int64_t elements = size_of_value(fields[4], "the size of a storage");
  as(fields[3], Kind::kText, "the location of a storage");
  push({.kind = Kind::kStorage, .integer = static_cast<int64_t>(storages_.size())});
  storages_.push_back({key, *type.storage, elements});
}

void Unpickler::reduce() {
  const std::vector<Id> arguments = as(pop(), Kind::kTuple, "an argument list").items;
  const std::string_view function = as(pop(), Kind::kGlobal, "what is called").text;
  if (function == kOrderedDict) {
    require(arguments.empty(), "an OrderedDict is made of something");
    push({.kind = Kind::kDict});
  } else if (function == kRebuildTensor) {
    rebuild_tensor(arguments);
  } else if (function == kRebuildParameter) {
    require(arguments.size() == 3, "a parameter is not made of three values");
    as(arguments[0], Kind::kTensor, "what a parameter is made of");
    push_again(arguments[0]);
  } else {
    refuse(std::string(function) + " cannot be called");
  }
}

// (storage, offset, shape, strides, requires_grad, hooks[, metadata])
void Unpickler::rebuild_tensor(const std::vector<Id>& arguments) {
  require(arguments.size() == 6 || arguments.size() == 7, "a tensor is not made of six values");
  require(tensors_.size() < kMaxTensors, kTooMany);
  const Value& storage = as(arguments[0], Kind::kStorage, "what a tensor is a view of");
  View tensor{.storage = static_cast<std::size_t>(storage.integer)};
  tensor.offset = size_of_value(arguments[1], "the offset of a tensor");
  tensor.shape = sizes(arguments[2], "a shape");
  tensor.strides = sizes(arguments[3], "strides");
  require(tensor.shape.size() == tensor.strides.size(), "shape and strides differ in length");
  push({.kind = Kind::kTensor, .integer = static_cast<int64_t>(tensors_.size())});
  tensors_.push_back(std::move(tensor));
}

// torch hangs the versions of its modules on a state dict: attributes, which are left aside.
void Unpickler::build() {
  as(pop(), Kind::kDict, "a state");
  const Id target = pop();
  as(target, Kind::kDict, "what a state is set on");
  stack_.push_back(target);
}

void Unpickler::step_constant(Opcode opcode) {
  switch (opcode) {
    case Opcode::kNone:
      return push({});
    case Opcode::kTrue:
      return push({.kind = Kind::kBool, .integer = 1});
    case Opcode::kFalse:
      return push({.kind = Kind::kBool});
    case Opcode::kInt1:
      return push({.kind = Kind::kInteger, .integer = static_cast<int64_t>(in_.integer(1))});
    case Opcode::kInt2:
      return push({.kind = Kind::kInteger, .integer = static_cast<int64_t>(in_.integer(2))});
    case Opcode::kInt4:
      return push({.kind = Kind::kInteger,
                   .integer = static_cast<int32_t>(static_cast<uint32_t>(in_.integer(4)))});
    case Opcode::kLong1: {
      const auto bytes = static_cast<int>(in_.integer(1));
      require(bytes <= 8, "an integer has more than 64 bits");
      const uint64_t value = in_.integer(bytes);
      const int unused = 64 - 8 * bytes;  // shifted out and in again: the sign
      const int64_t integer = bytes == 0 ? 0 : static_cast<int64_t>(value << unused) >> unused;
      return push({.kind = Kind::kInteger, .integer = integer});
    }
    case Opcode::kReal:
      in_.take(8);  // no number of a tensor is real: only that there is one matters
      return push({.kind = Kind::kReal});
    default: {
      const std::string_view text = in_.take(in_.integer(4));
      require(is_utf8(text), "a text is not UTF-8");
      return push({.kind = Kind::kText, .text = text});
    }
  }
}

void Unpickler::step_container(Opcode opcode) {
  switch (opcode) {
    case Opcode::kEmptyTuple:
      return push_tuple({});
    case Opcode::kTuple1:
      return push_tuple({pop()});
    case Opcode::kTuple2: {
      const Id second = pop(), first = pop();
      return push_tuple({first, second});
    }
    case Opcode::kTuple3: {
      const Id third = pop(), second = pop(), first = pop();
      return push_tuple({first, second, third});
    }
    case Opcode::kTuple:
      return push_tuple(pop_to_mark());
    case Opcode::kEmptyList:
      return push({.kind = Kind::kList});
    case Opcode::kAppend:
    case Opcode::kAppends: {
      if (opcode == Opcode::kAppend) {
        pop();
      } else {
        pop_to_mark();
      }
      const Id list = pop();  // a list holds nothing that a tensor needs
      as(list, Kind::kList, "what is appended to");
      stack_.push_back(list);
      return;
    }
    case Opcode::kEmptyDict:
      return push({.kind = Kind::kDict});
    case Opcode::kSetItem: {
      const Id value = pop(), key = pop();
      return set_items({key, value});
    }
    default:
      return set_items(pop_to_mark());
  }
}

void Unpickler::step_memo(Opcode opcode) {
  const bool is_long = opcode == Opcode::kLongPut || opcode == Opcode::kLongGet;
  const uint64_t slot = in_.integer(is_long ? 4 : 1);
  if (opcode == Opcode::kPut || opcode == Opcode::kLongPut) {
    const Id top = pop();
    stack_.push_back(top);
    memo_[slot] = top;
    require(memo_.size() <= kMaxValues, "it stores more than two million objects");
    return;
  }
  const auto found = memo_.find(slot);
  require(found != memo_.end(), "it recalls what it never stored");
  push_again(found->second);
}

bool Unpickler::step(Opcode opcode) {
  switch (group_of(opcode)) {
    case OpcodeGroup::kConstant:
      step_constant(opcode);
      return true;
    case OpcodeGroup::kContainer:
      step_container(opcode);
      return true;
    case OpcodeGroup::kMemo:
      step_memo(opcode);
      return true;
    case OpcodeGroup::kUnknown: {
      const auto code = static_cast<unsigned>(opcode);
      refuse("opcode " + std::to_string(code) +
                 (std::isgraph(static_cast<int>(code)) != 0
                      ? std::string(" ('") + static_cast<char>(code) + "')"
                      : std::string()) +
                 " is not on the list of those that a file of tensors needs",
             ErrorKind::kUnsupported);
    }
    case OpcodeGroup::kMachine:
      break;
  }
  switch (opcode) {
    case Opcode::kMark:
      require(marks_.size() < kMaxValues, "it sets more than two million marks");
      marks_.push_back(stack_.size());
      break;
    case Opcode::kGlobal:
      global();
      break;
    case Opcode::kPersistent:
      persistent();
      break;
    case Opcode::kReduce:
      reduce();
      break;
    case Opcode::kBuild:
      build();
      break;
    default:
      return false;
  }
  return true;
}

std::vector<SavedTensor> Unpickler::named_tensors(Id root) const {
  const auto& items = as(root, Kind::kDict, "the whole").items;
  std::vector<SavedTensor> result;
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < items.size(); i += 2) {
    const std::string name(as(items[i], Kind::kText, "a key").text);
    require(!name.empty() && name.size() <= kMaxNameBytes && name.find('\0') == std::string::npos,
            "a tensor's name is empty, too long or holds a NUL");
    const Value& value = values_[items[i + 1]];
    if (value.kind != Kind::kTensor) {
      refuse("\"" + name + "\" is " + kKindNames[static_cast<int>(value.kind)] + ", not a tensor",
             ErrorKind::kUnsupported);
    }
    if (!names.insert(values_[items[i]].text).second) refuse("\"" + name + "\" stands twice");
    require(result.size() < kMaxTensors, kTooMany);
    const View& view = tensors_[static_cast<std::size_t>(value.integer)];
    const Storage& storage = storages_[view.storage];
    result.push_back({name, std::string(storage.key), storage.dtype, storage.elements, view.offset,
                      view.shape, view.strides});
  }
  return result;
}

std::vector<SavedTensor> Unpickler::run() {
  require(in_.left() >= 2 && static_cast<Opcode>(in_.integer(1)) == Opcode::kProtocol,
          "it does not begin as a pickle does");
  const uint64_t protocol = in_.integer(1);
  if (protocol != 2) {
    refuse("its protocol is " + std::to_string(protocol) + ", torch writes 2",
           ErrorKind::kUnsupported);
  }
  while (step(static_cast<Opcode>(in_.integer(1)))) {
  }
  const Id root = pop();
  require(stack_.empty() && marks_.empty(), "it ends before it is done");
  require(in_.left() == 0, "bytes follow its end");
  return named_tensors(root);
}

}  // namespace

std::vector<SavedTensor> parse_torch_pickle(std::string_view pickle, const std::string& where) {
  return Unpickler(pickle, where).run();
}

}  // namespace adder::io
