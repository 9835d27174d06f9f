#include "adder/data/generate/remote.h"

#include <fmt/format.h>

#include <cmath>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>

#include "adder/base/error.h"
#include "adder/base/printable.h"
#include "adder/data/generate/ask_llm.h"
#include "adder/data/generate/near_duplicates.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"

namespace adder::data {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kGiveUpAfter = 5;  // requests that fail one after another, each after its retries

Milliseconds milliseconds(double seconds) {
  return Milliseconds(static_cast<int64_t>(1000 * seconds));
}

std::string name_of(const GenerateTask& task) {
  return printable(task.list + " \"" + task.item + "\", " + task.name, 300);
}

/// A model's text, cleaned, and why not to keep it.
struct Candidate {
  std::string text;
  std::optional<std::string> reason;
  std::optional<int64_t> tokens;
};

/// Everything that the workers share.
class Run {
 public:
  Run(const LlmServer& server, const TextFilters& filters, const RemoteOptions& options,
      const fs::path& out)
      : server_(server),
        filters_(filters),
        options_(options),
        texts_(out / "texts"),
        manifest_(out / "manifest.jsonl"),
        near_(options.near_duplicates) {}

  RemoteCounts run(std::vector<GenerateTask> tasks, const RemoteProgress& progress);

 private:
  void choose(std::vector<GenerateTask> tasks);
  void work();
  std::optional<GenerateTask> next();
  LlmOutcome ask(const GenerateTask& task);
  void record(const GenerateTask& task, const LlmOutcome& outcome, const Candidate& candidate);
  Candidate candidate_of(const LlmReply& reply) const;
  void keep_or_reject(const GenerateTask& task, ManifestEntry entry, const Candidate& candidate);
  std::optional<std::string> copy_of(const std::string& text);
  void remember(const fs::path& file);
  bool is_a_persons(const GenerateTask& task) const;
  bool wait(Clock::time_point until);
  void pace();
  void note(std::string text);

  const LlmServer& server_;
  const TextFilters& filters_;
  const RemoteOptions& options_;
  fs::path texts_;

  std::mutex mutex_;  // for all below
  std::condition_variable_any changed_;
  std::stop_source stop_;
  GenerateManifest manifest_;
  NearDuplicates near_;
  std::unordered_set<std::string> exact_;  // hashes of the words of texts
  std::deque<GenerateTask> waiting_;
  RemoteCounts counts_;
  std::vector<std::string> notes_;
  Clock::time_point next_slot_ = Clock::now();
  int failed_in_a_row_ = 0;
  int64_t working_ = 0;
  std::exception_ptr fatal_;
};

bool Run::is_a_persons(const GenerateTask& task) const {
  const fs::path file = texts_ / task.file;
  if (!fs::exists(fs::symlink_status(file))) return false;
  if (!fs::is_regular_file(file)) return true;  // a link that leads nowhere, a folder
  return !manifest_.wrote(task.key(), io::hash128_file_hex(file));
}

/// Makes a text that stands in the folder known to the search for duplicates.
void Run::remember(const fs::path& file) {
  constexpr int64_t kMaxBytes = 4 << 20;
  if (!fs::is_regular_file(file) || fs::file_size(file) > kMaxBytes) return;
  copy_of(io::read_file(file, kMaxBytes));
}

/// Leaves out what is there already.
void Run::choose(std::vector<GenerateTask> tasks) {
  for (GenerateTask& task : tasks) {
    const fs::path file = texts_ / task.file;
    const ManifestEntry* entry = manifest_.find(task.key());
    if (is_a_persons(task)) {
      ++counts_.kept;
      remember(file);
      continue;
    }
    const bool there = fs::is_regular_file(file);
    const bool same = entry != nullptr && entry->answers(ManifestEntry::of(task, server_));
    // A run killed between the two leaves the text of an earlier request under this one's entry.
    const bool done = same && there && entry->hash == io::hash128_file_hex(file);
    if (done || (same && entry->status == "rejected")) {
      ++counts_.earlier;
      if (there) remember(file);
      continue;
    }
    const auto chosen = static_cast<int64_t>(waiting_.size());
    if (options_.limit == 0 || chosen < options_.limit) waiting_.push_back(std::move(task));
  }
  counts_.total = static_cast<int64_t>(waiting_.size());
}

RemoteCounts Run::run(std::vector<GenerateTask> tasks, const RemoteProgress& progress) {
  choose(std::move(tasks));
  std::vector<std::jthread> workers;
  working_ = std::min(options_.concurrency, counts_.total);
  for (int64_t i = working_; i > 0; --i) workers.emplace_back([this] { work(); });
  for (bool more = true; more;) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, Milliseconds(100), [this] { return working_ == 0; });
    more = working_ > 0;
    const RemoteCounts counts = counts_;
    const auto notes = std::exchange(notes_, {});
    lock.unlock();
    try {
      if (!progress(counts, notes)) stop_.request_stop();
    } catch (...) {
      stop_.request_stop();
      throw;  // the workers end first: jthread joins
    }
  }
  workers.clear();
  if (fatal_) std::rethrow_exception(fatal_);
  counts_.stopped = stop_.stop_requested();
  return counts_;
}

void Run::work() {
  try {
    while (const auto task = next()) {
      const LlmOutcome outcome = ask(*task);
      const bool written = outcome.kind == LlmOutcome::kText;
      const Candidate candidate = written ? candidate_of(outcome.reply) : Candidate();
      const std::lock_guard lock(mutex_);
      if (!written && stop_.stop_requested()) break;
      record(*task, outcome, candidate);
    }
  } catch (...) {  // the disk is full, say
    const std::lock_guard lock(mutex_);
    if (!fatal_) fatal_ = std::current_exception();
    stop_.request_stop();
  }
  const std::lock_guard lock(mutex_);
  if (--working_ == 0) changed_.notify_all();
}

std::optional<GenerateTask> Run::next() {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty() || stop_.stop_requested()) return std::nullopt;
  GenerateTask task = std::move(waiting_.front());
  waiting_.pop_front();
  return task;
}

LlmOutcome Run::ask(const GenerateTask& task) {
  Rng rng(static_cast<uint64_t>(task.seed), stream_of("data.backoff"));
  const auto longest = milliseconds(options_.max_backoff);
  for (int attempt = 0;; ++attempt) {
    pace();
    LlmOutcome outcome =
        ask_llm(server_, task.prompt, task.seed, milliseconds(options_.timeout), stop_.get_token());
    if (outcome.kind != LlmOutcome::kAgain || stop_.stop_requested()) return outcome;
    if (attempt >= options_.retries) return outcome;
    auto pause = backoff(attempt, milliseconds(options_.backoff), longest, rng);
    // What the server asks for, and the random part: all that were refused wait for the same time.
    if (outcome.wait) pause = std::min(*outcome.wait + pause, longest);
    note(fmt::format("again in {:.1f} s: {}: {}", static_cast<double>(pause.count()) / 1000,
                     name_of(task), outcome.reason));
    if (!wait(Clock::now() + pause)) return outcome;
  }
}

/// False when the run was stopped meanwhile.
bool Run::wait(Clock::time_point until) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, stop_.get_token(), until, [] { return false; });
  return !stop_.stop_requested();
}

/// Waits for this request's turn, where --rate spaces them.
void Run::pace() {
  if (options_.rate <= 0) return;
  Clock::time_point slot;
  {
    const std::lock_guard lock(mutex_);
    slot = std::max(Clock::now(), next_slot_);
    next_slot_ = slot + std::chrono::nanoseconds(std::llround(60e9 / options_.rate));
  }
  wait(slot);
}

void Run::note(std::string text) {
  const std::lock_guard lock(mutex_);
  notes_.push_back(std::move(text));
}

void Run::record(const GenerateTask& task, const LlmOutcome& outcome, const Candidate& candidate) {
  auto entry = ManifestEntry::of(task, server_);
  ++counts_.finished;
  if (outcome.kind == LlmOutcome::kText) {
    failed_in_a_row_ = 0;
    keep_or_reject(task, std::move(entry), candidate);
    return;
  }
  ++counts_.failed;
  entry.status = "failed";
  entry.reason = outcome.reason;
  manifest_.add(entry);
  notes_.push_back("failed: " + name_of(task) + ": " + outcome.reason);
  if (outcome.kind != LlmOutcome::kFatal && ++failed_in_a_row_ < kGiveUpAfter) return;
  if (!fatal_) {
    fatal_ = std::make_exception_ptr(Error(
        ErrorKind::kIo, {.what = "the server does not do what it is asked",
                         .where = "--endpoint, --model",
                         .why = outcome.reason,
                         .next = "what is done is kept; the same command goes on from there"}));
  }
  stop_.request_stop();
}

/// Cleans and judges; called without the lock, for a text may be long.
Candidate Run::candidate_of(const LlmReply& reply) const {
  Candidate made{.tokens = reply.tokens};
  // No cleaning makes so much fit: a character is at most four bytes.
  if (static_cast<int64_t>(reply.text.size()) / 8 > filters_.max_chars) {
    made.reason = fmt::format("too long: {} bytes", reply.text.size());
    return made;
  }
  made.text = clean_reply(reply.text);
  if (reply.cut) made.text = up_to_last_sentence(made.text);
  made.reason = filters_.reason_against(made.text);
  const std::string& key = server_.key;
  const auto holds_key = [&](const std::string& text) {
    return !key.empty() && text.find(key) != std::string::npos;
  };
  if (holds_key(reply.text) || holds_key(made.text)) made.reason = "it holds the key";
  return made;
}

/// The reason not to keep `text` beside the others. One without a reason counts as seen.
std::optional<std::string> Run::copy_of(const std::string& text) {
  std::string words;
  for (const std::string& word : plain_words(text)) words += word + ' ';
  if (!exact_.insert(io::hash128_hex(io::as_bytes(words))).second) return "a copy of another text";
  const bool look = options_.near_duplicates < 1;
  if (look && !near_.add(text)) return "nearly a copy of another text";
  return std::nullopt;
}

void Run::keep_or_reject(const GenerateTask& task, ManifestEntry entry,
                         const Candidate& candidate) {
  entry.tokens = candidate.tokens;
  counts_.tokens += candidate.tokens.value_or(0);
  const auto reason = candidate.reason ? candidate.reason : copy_of(candidate.text);
  if (reason) {
    ++counts_.rejected;
    entry.status = "rejected";
    entry.reason = *reason;
    manifest_.add(entry);
    notes_.push_back("rejected: " + name_of(task) + ": " + *reason);
    return;
  }
  if (is_a_persons(task)) {  // put there while the server was writing
    ++counts_.kept;
    return;
  }
  const std::string text = candidate.text + '\n';
  entry.status = "done";
  entry.file = task.file;
  entry.hash = io::hash128_hex(io::as_bytes(text));
  // The manifest first: were it last, a run killed between the two would take its own file for a
  // person's.
  manifest_.add(entry);
  const fs::path file = texts_ / task.file;
  io::make_directories(file.parent_path());
  io::write_file_atomic(file, text);
  ++counts_.done;
}

}  // namespace

void RemoteOptions::describe(OptionVisitor& v) {
  v.field("concurrency", concurrency, "requests at a time");
  v.field("timeout", timeout, "seconds that an answer may take");
  v.field("retries", retries, "tries after the first one fails");
  v.field("backoff", backoff, "seconds before the second try; each further wait is twice as long");
  v.field("max_backoff", max_backoff, "longest wait in seconds, Retry-After included");
  v.field("rate", rate, "requests a minute; 0: as fast as answers come");
  v.field("limit", limit, "requests of this run; 0: all that are missing");
  v.field("near_duplicates", near_duplicates,
          "similarity (above 0.5) from which a text is a copy; 1: exact copies alone");
}

void RemoteOptions::check() const {
  const auto refuse = [](const std::string& what) {
    throw Error(ErrorKind::kUsage, {.what = what});
  };
  constexpr int64_t kMaxConcurrency = 64, kMaxRetries = 100;
  constexpr double kMaxSeconds = 86400;
  if (concurrency < 1 || concurrency > kMaxConcurrency) refuse("--concurrency is 1 to 64");
  if (!(timeout > 0 && timeout <= kMaxSeconds)) refuse("--timeout is seconds, up to a day");
  if (retries < 0 || retries > kMaxRetries) refuse("--retries is 0 to 100");
  if (!(backoff >= 0 && backoff <= kMaxSeconds)) refuse("--backoff is seconds, up to a day");
  if (!(max_backoff >= 0 && max_backoff <= kMaxSeconds)) {
    refuse("--max-backoff is seconds, up to a day");
  }
  if (rate != 0 && !(rate >= 0.01 && rate <= 1e6)) {
    refuse("--rate is requests a minute, 0.01 to a million; 0 for no limit");
  }
  if (limit < 0) refuse("--limit is 0 or more");
  if (!(near_duplicates > 0.5 && near_duplicates <= 1)) {
    refuse("--near-duplicates is above 0.5 and at most 1");
  }
}

RemoteCounts generate_remote(const LlmServer& server, std::vector<GenerateTask> tasks,
                             const TextFilters& filters, const RemoteOptions& options,
                             const std::filesystem::path& out, const RemoteProgress& progress) {
  options.check();
  filters.check();
  io::make_directories(out / "texts");
  return Run(server, filters, options, out).run(std::move(tasks), progress);
}

}  // namespace adder::data
