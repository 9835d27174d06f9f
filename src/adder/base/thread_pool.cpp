#include "adder/base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "adder/base/cgroup.h"

namespace adder {
namespace {

constexpr int kSpins = 1000;             // some 50 microseconds of pauses before a thread sleeps
constexpr int64_t kPiecesPerThread = 4;  // pieces are taken as threads come free

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Set in a thread while it works on a job: a run() from there is done serially.
thread_local bool inside_job = false;

int allowed_processors() {
  static const int granted = cgroup_processors();
  cpu_set_t mask;
  CPU_ZERO(&mask);
  const int present = sched_getaffinity(0, sizeof(mask), &mask) == 0
                          ? CPU_COUNT(&mask)
                          : static_cast<int>(std::thread::hardware_concurrency());
  return std::max(1, granted > 0 ? std::min(present, granted) : present);
}

}  // namespace

// One job at a time. The caller fills in the job and opens the gate; a worker that finds it open
// goes in and takes pieces; the caller takes pieces too, shuts the gate when none are left, and
// waits only for the workers that went in. A worker that wakes late finds it shut, so nobody waits
// for it.
struct ThreadPool::State {
  static constexpr uint32_t kOpen = 1u << 31;  // the lower bits of `gate` count the workers inside

  std::vector<std::thread> workers;
  int spins = kSpins;
  std::mutex caller;  // held by the thread whose job this is

  const RangeBody* body = nullptr;
  int64_t count = 0;
  int64_t piece = 0;
  std::mutex failure_mutex;
  std::exception_ptr failure;

  alignas(64) std::atomic<uint32_t> epoch{0};  // changes with each job; workers sleep on it
  alignas(64) std::atomic<uint32_t> gate{0};
  alignas(64) std::atomic<int64_t> next{0};  // the first index not yet taken
  std::atomic<bool> stop{false};

  void take_pieces() {
    inside_job = true;
    while (true) {
      const int64_t begin = next.fetch_add(piece, std::memory_order_relaxed);
      if (begin >= count) break;
      try {
        (*body)(begin, std::min(count, begin + piece));
      } catch (...) {
        const std::lock_guard lock(failure_mutex);
        if (!failure) failure = std::current_exception();
        next.store(count, std::memory_order_relaxed);
      }
    }
    inside_job = false;
  }

  void work() {
    uint32_t seen = 0;
    while (true) {
      for (int i = 0; i < spins && epoch.load(std::memory_order_relaxed) == seen; ++i) pause();
      epoch.wait(seen, std::memory_order_acquire);
      seen = epoch.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_acquire)) return;
      uint32_t now = gate.load(std::memory_order_acquire);
      while ((now & kOpen) != 0) {
        if (!gate.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel)) continue;
        take_pieces();
        if (gate.fetch_sub(1, std::memory_order_acq_rel) == 1) gate.notify_one();
        break;
      }
    }
  }

  void announce() {
    epoch.fetch_add(1, std::memory_order_release);
    epoch.notify_all();
  }

  void wait_for_workers() {
    uint32_t now = gate.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
    for (int i = 0; now != 0; ++i) {
      if (i < spins) {
        pause();
      } else {
        gate.wait(now, std::memory_order_acquire);
      }
      now = gate.load(std::memory_order_acquire);
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  const int total = threads > 0 ? threads : default_threads();
  if (total > allowed_processors())
    state_->spins = 0;  // spinning would take the time of those who work
  try {
    for (int i = 1; i < total; ++i) {
      state_->workers.emplace_back([state = state_.get()] { state->work(); });
    }
  } catch (const std::system_error&) {
    // The system gives no more threads: those that exist do the work.
  }
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true, std::memory_order_release);
  state_->announce();
  for (auto& worker : state_->workers) worker.join();
}

int ThreadPool::threads() const {
  return static_cast<int>(state_->workers.size()) + 1;
}

void ThreadPool::run(int64_t count, int64_t grain, RangeBody body) const {
  if (count <= 0) return;
  State& state = *state_;
  const int64_t smallest = std::max<int64_t>(grain, 1);
  std::unique_lock job(state.caller, std::defer_lock);
  if (inside_job || state.workers.empty() || count <= smallest || !job.try_lock()) {
    body(0, count);
    return;
  }
  const int64_t pieces = threads() * kPiecesPerThread;
  state.body = &body;
  state.count = count;
  state.piece = std::max(smallest, count / pieces + (count % pieces != 0));
  state.failure = nullptr;
  state.next.store(0, std::memory_order_relaxed);
  state.gate.store(State::kOpen, std::memory_order_release);
  state.announce();
  state.take_pieces();
  state.wait_for_workers();
  if (state.failure) std::rethrow_exception(std::exchange(state.failure, nullptr));
}

int default_threads(int requested) {
  const int allowed = allowed_processors();
  if (requested > 0) return std::min(requested, allowed);
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    char* end = nullptr;
    const long wanted =
        std::strtol(text, &end, 10);  // a list "4,2" speaks of nested levels: the first counts
    if (end != text && wanted > 0) return static_cast<int>(std::min<long>(wanted, allowed));
  }
  return allowed;
}

}  // namespace adder
