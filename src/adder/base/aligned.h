// Scratch memory for kernels, aligned to a cache line (64 bytes: one AVX-512 register).
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "adder/base/checked.h"

namespace adder {

inline constexpr std::size_t kCacheLine = 64;

/// An array of `count` plain values at a 64-byte boundary; move-only. Not initialised unless said.
template <typename T>
requires std::is_trivially_copyable_v<T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(int64_t count) { resize(count); }
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::move(other.data_)),
        count_(std::exchange(other.count_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    data_ = std::move(other.data_);
    count_ = std::exchange(other.count_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }

  /// Drops the content; a buffer already large enough is kept. Throws kShape when the size
  /// overflows.
  void resize(int64_t count) {
    if (count > capacity_) {
      const auto size = checked_cast<std::size_t>(count, "scratch buffer", ErrorKind::kShape);
      const auto bytes = checked_mul(size, sizeof(T), "scratch buffer", ErrorKind::kShape);
      data_.reset(static_cast<T*>(::operator new[](bytes, std::align_val_t{kCacheLine})));
      capacity_ = count;
    }
    count_ = count;
  }
  void fill_zero() {
    if (count_ > 0) std::memset(data_.get(), 0, static_cast<std::size_t>(count_) * sizeof(T));
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  int64_t size() const { return count_; }
  T& operator[](int64_t i) { return data_[static_cast<std::size_t>(i)]; }
  const T& operator[](int64_t i) const { return data_[static_cast<std::size_t>(i)]; }
  std::span<T> span() { return {data_.get(), static_cast<std::size_t>(count_)}; }
  std::span<const T> span() const { return {data_.get(), static_cast<std::size_t>(count_)}; }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete[](p, std::align_val_t{kCacheLine}); }
  };
  std::unique_ptr<T[], Free> data_;
  int64_t count_ = 0;
  int64_t capacity_ = 0;
};

}  // namespace adder
