// Scratch memory of a model's forward pass: handed out in order, given back all at once, kept for
// the next call. Once warm, a token costs no allocation.
#pragma once

#include <cstdint>
#include <vector>

#include "adder/base/aligned.h"

namespace adder::infer {

class Arena {
 public:
  /// `count` floats at a 64-byte boundary, not initialised; valid until the innermost Scope ends.
  float* take(int64_t count);

  /// What is taken while a Scope lives is given back when it ends. Scopes nest.
  class Scope {
   public:
    explicit Scope(Arena& arena) : arena_(arena), block_(arena.block_), used_(arena.used_) {
      ++arena_.depth_;
    }
    ~Scope() { arena_.give_back(block_, used_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Arena& arena_;
    std::size_t block_;
    int64_t used_;
  };

  int64_t capacity() const;  // floats held

 private:
  void give_back(std::size_t block, int64_t used);

  std::vector<AlignedBuffer<float>> blocks_;
  std::size_t block_ = 0;  // the one in use
  int64_t used_ = 0;       // floats of it
  int depth_ = 0;
};

}  // namespace adder::infer
