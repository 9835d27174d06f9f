#define PCRE2_CODE_UNIT_WIDTH 8
#define PCRE2_STATIC
#include "adder/text/pattern.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "adder/base/error.h"
#include "adder/text/oniguruma.h"

namespace adder::text {
namespace {

constexpr uint32_t kMatchLimit = 2'000'000;     // steps of one search, beside one a byte
constexpr size_t kMaxStack = size_t{64} << 20;  // bytes
constexpr auto kLongest = std::chrono::seconds(3);
constexpr uint32_t kBetweenLooks = 256;  // steps and matches between two looks at the clock

// ^ and $ stand at every line for Oniguruma. Callouts come at each step: they look at the clock.
constexpr uint32_t kOptions =
    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT;

[[noreturn]] void refuse(const std::string& where, std::string why) {
  throw Error(
      ErrorKind::kUnsupported,
      {.what = "the tokenizer's pattern cannot be used", .where = where, .why = std::move(why)});
}

using CompileContext =
    std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)>;
using MatchContext = std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)>;
using MatchData = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;
using JitStack = std::unique_ptr<pcre2_jit_stack, decltype(&pcre2_jit_stack_free)>;

std::string message_of(int code) {
  PCRE2_UCHAR buffer[256] = {};
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

/// Ends a search of all of a text that takes too long. A second for each MB is a hundred times what
/// a sane pattern takes.
class Deadline {
 public:
  explicit Deadline(size_t bytes)
      : end_(std::chrono::steady_clock::now() + kLongest + std::chrono::seconds(bytes >> 20)) {}
  bool passed() {
    if (++steps_ % kBetweenLooks != 0) return false;
    return std::chrono::steady_clock::now() > end_;
  }
  static int callout(pcre2_callout_block*, void* deadline) {
    return static_cast<Deadline*>(deadline)->passed() ? PCRE2_ERROR_CALLOUT : 0;
  }

 private:
  std::chrono::steady_clock::time_point end_;
  uint32_t steps_ = 0;
};

}  // namespace

struct Pattern::Code {
  pcre2_code* code = nullptr;
  std::string where;

  Code(const std::string& text, std::string place) : where(std::move(place)) {
    const CompileContext context(pcre2_compile_context_create(nullptr),
                                 &pcre2_compile_context_free);
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    int error = 0;
    PCRE2_SIZE offset = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), kOptions, &error,
                         &offset, context.get());
    if (code == nullptr) refuse(where, message_of(error));
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without it the interpreter does the work
  }
  Code(const Code&) = delete;
  ~Code() { pcre2_code_free(code); }
};

Pattern::Pattern(std::string_view pattern, const std::string& where)
    : code_(std::make_unique<Code>(from_oniguruma(pattern, where), where)) {}
Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;

Pattern Pattern::literal(std::string text) {
  Pattern made;
  made.literal_ = std::move(text);
  return made;
}

void Pattern::for_each_match(std::string_view text,
                             const std::function<void(size_t, size_t)>& visit) const {
  if (code_ == nullptr) {
    for (size_t at = text.find(literal_); at != text.npos;) {
      visit(at, at + literal_.size());
      at = text.find(literal_, at + literal_.size());
    }
    return;
  }
  const MatchContext context(pcre2_match_context_create(nullptr), &pcre2_match_context_free);
  const MatchData data(pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
  JitStack stack(nullptr, &pcre2_jit_stack_free);  // made when the small one does not do
  pcre2_set_match_limit(
      context.get(),
      static_cast<uint32_t>(std::min<size_t>(text.size(), UINT32_MAX / 2)) + kMatchLimit);
  pcre2_set_heap_limit(context.get(), kMaxStack >> 10);
  const auto search = [&](size_t from) {
    return pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK, data.get(), context.get());
  };
  Deadline deadline(text.size());
  pcre2_set_callout(context.get(), &Deadline::callout, &deadline);
  size_t last_end = std::string_view::npos;
  for (size_t at = 0; at <= text.size();) {
    int found = search(at);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT && stack == nullptr) {
      stack.reset(pcre2_jit_stack_create(32 << 10, kMaxStack, nullptr));
      pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
      found = search(at);
    }
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found == PCRE2_ERROR_CALLOUT || (found >= 0 && deadline.passed())) {
      refuse(code_->where, "searching this text with it takes too long");
    }
    if (found < 0) refuse(code_->where, fmt::format("on this text: {}", message_of(found)));
    const size_t begin = pcre2_get_ovector_pointer(data.get())[0];
    const size_t end = pcre2_get_ovector_pointer(data.get())[1];
    if (begin != end || end != last_end) {
      if (begin > end) refuse(code_->where, "it ends a match before it begins");
      visit(begin, end);
    }
    last_end = end;
    at = end;
    if (begin == end) {
      ++at;
      while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
    }
  }
}

}  // namespace adder::text
