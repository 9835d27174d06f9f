// Adder's own worker threads, for everything below the LibTorch line.
#pragma once

#include <memory>

#include "adder/base/parallel.h"

namespace adder {

/// Persistent workers; the caller takes part. Workers spin for some microseconds after a job, then
/// sleep. An exception of the body is thrown again in the caller (the first one, when several). A
/// run() inside a body, or while another thread runs a job, is done serially in its caller.
class ThreadPool final : public Parallel {
 public:
  /// `threads` counts the caller and is taken as it is; 0 asks default_threads().
  explicit ThreadPool(int threads = 0);
  ~ThreadPool() override;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  void run(int64_t count, int64_t grain, RangeBody body) const override;
  int threads() const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How many threads to use: `requested` (a --threads flag) when positive, else OMP_NUM_THREADS when
/// it is a positive number, else every processor that this process may run on: its affinity mask
/// and the quota of its control group. Never more than those allow, never less than 1.
int default_threads(int requested = 0);

}  // namespace adder
