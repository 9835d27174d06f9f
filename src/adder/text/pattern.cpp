#define PCRE2_CODE_UNIT_WIDTH 8
#define PCRE2_STATIC
#include "adder/text/pattern.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "adder/base/error.h"

namespace adder::text {
namespace {

constexpr size_t kMaxPattern = size_t{1} << 16;  // bytes
constexpr uint32_t kMatchLimit = 2'000'000;      // steps of one search, beside one a byte
constexpr size_t kMaxStack = size_t{64} << 20;   // bytes
constexpr auto kLongest = std::chrono::seconds(20);
constexpr int kBetweenLooks = 64;  // matches between two looks at the clock

// ^ and $ stand at every line for Oniguruma.
constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;

[[noreturn]] void refuse(const std::string& where, std::string why) {
  throw Error(
      ErrorKind::kUnsupported,
      {.what = "the tokenizer's pattern cannot be used", .where = where, .why = std::move(why)});
}

// PCRE2 counts U+180E as space, and \w without marks; Oniguruma goes by Unicode. (Inside [^...]
// too, these lists stand where the escape stood.)
constexpr std::string_view kSpaces = "\\p{Z}\\x{9}-\\x{D}\\x{85}";
constexpr std::string_view kWords = "\\p{L}\\p{M}\\p{N}\\p{Pc}";

std::string from_oniguruma(std::string_view pattern, const std::string& where) {
  if (pattern.size() > kMaxPattern) {
    refuse(where, fmt::format("it has {} bytes, the limit is {}", pattern.size(), kMaxPattern));
  }
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const std::string_view rest = pattern.substr(i);
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      const std::string_view list = escaped == 's' || escaped == 'S'   ? kSpaces
                                    : escaped == 'w' || escaped == 'W' ? kWords
                                                                       : std::string_view();
      const bool negated = escaped == 'S' || escaped == 'W';
      if (std::string_view("hHRXKGC").find(escaped) != std::string_view::npos ||
          (negated && in_class)) {
        refuse(where, fmt::format("\\{} means another thing in each library", escaped));
      }
      if (list.empty()) {
        out += {c, escaped};
      } else {
        out += in_class ? std::string(list) : fmt::format("[{}{}]", negated ? "^" : "", list);
      }
      continue;
    }
    if (rest.starts_with("(*") && !in_class) refuse(where, "it begins a group with (*");
    if (rest.starts_with("(?C") || rest.starts_with("(?m") || rest.starts_with("(?R")) {
      if (!in_class) refuse(where, fmt::format("{} is not known", rest.substr(0, 3)));
    }
    if (in_class && (rest.starts_with("&&") || (c == '[' && !rest.starts_with("[:")))) {
      refuse(where, "sets inside sets are not known");
    }
    if (c == '[' && !in_class) {
      in_class = true;
      out += c;
      if (rest.starts_with("[^")) out += pattern[++i];
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') out += {'\\', pattern[++i]};
      continue;
    }
    if (c == '[' && in_class) {  // [:alpha:]
      const size_t end = rest.find(":]");
      if (end == std::string_view::npos) refuse(where, "a [: without its :]");
      out += rest.substr(0, end + 2);
      i += end + 1;
      continue;
    }
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
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
  const auto start = std::chrono::steady_clock::now();
  size_t last_end = std::string_view::npos;
  int until_look = kBetweenLooks;
  for (size_t at = 0; at <= text.size();) {
    int found = search(at);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT && stack == nullptr) {
      stack.reset(pcre2_jit_stack_create(32 << 10, kMaxStack, nullptr));
      pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
      found = search(at);
    }
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) refuse(code_->where, fmt::format("on this text: {}", message_of(found)));
    if (--until_look == 0) {
      until_look = kBetweenLooks;
      // A second for each MB is a hundred times what a sane pattern takes.
      const auto allowed = kLongest + std::chrono::seconds(text.size() >> 20);
      if (std::chrono::steady_clock::now() - start > allowed) {
        refuse(code_->where, "searching this text with it takes too long");
      }
    }
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
