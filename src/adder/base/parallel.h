// Work sharing. There is one thread pool in a process: below the LibTorch line Adder's own
// (ThreadPool), under LibTorch its pool (ops passes an adapter). Kernels take the caller's.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace adder {

/// A borrowed callable, void(int64_t begin, int64_t end). Costs two words, allocates nothing; the
/// callable must outlive the call it is passed to.
class RangeBody {
 public:
  template <typename F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, RangeBody>)
      RangeBody(F&& body)  // NOLINT(google-explicit-constructor): a lambda is passed as it is
      : object_(const_cast<void*>(static_cast<const void*>(&body))),
        call_([](void* object, int64_t begin, int64_t end) {
          (*static_cast<std::remove_reference_t<F>*>(object))(begin, end);
        }) {}

  void operator()(int64_t begin, int64_t end) const { call_(object_, begin, end); }

 private:
  void* object_;
  void (*call_)(void*, int64_t, int64_t);
};

/// How a kernel spreads its work. An implementation calls `body` on disjoint ranges that cover [0,
/// count) and returns when all are done. Results of a kernel must not depend on how the ranges were
/// cut: whatever is reduced is reduced in blocks of a fixed size and added in a fixed order.
class Parallel {
 public:
  virtual ~Parallel() = default;
  /// `grain`: the fewest indices worth giving to a thread.
  virtual void run(int64_t count, int64_t grain, RangeBody body) const = 0;
  virtual int threads() const = 0;
};

/// Runs everything in the calling thread.
class Serial final : public Parallel {
 public:
  void run(int64_t count, int64_t, RangeBody body) const override {
    if (count > 0) body(0, count);
  }
  int threads() const override { return 1; }
};

}  // namespace adder
