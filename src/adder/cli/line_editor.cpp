#include "adder/cli/line_editor.h"

#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>

#include "adder/base/error.h"
#include "adder/cli/interrupt.h"
#include "adder/cli/output.h"
#include "adder/text/utf8.h"

namespace adder::cli {
namespace {

// A terminal brackets what is pasted between two sequences when it is asked to (xterm, mode 2004).
constexpr char kBracketsOn[] = "\x1b[?2004h", kBracketsOff[] = "\x1b[?2004l";
constexpr wchar_t kPasteEnd[] = L"\x1b[201~";

void write_to_terminal(std::string_view text) {
  if (write(2, text.data(), text.size()) < 0) return;  // gone: the next read will tell
}

// What a signal that ends the program must put back.
termios terminal_before;
volatile std::sig_atomic_t terminal_taken = 0;

void end_by_signal(int signal) {
  if (terminal_taken != 0) {
    tcsetattr(0, TCSANOW, &terminal_before);
    write_to_terminal(kBracketsOff);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigaction(signal, &action, nullptr);
}

std::string to_utf8(std::wstring_view text) {
  std::string out;
  for (const wchar_t c : text) text::append_code_point(out, static_cast<char32_t>(c));
  return out;
}

std::wstring to_wide(std::string_view text) {
  std::wstring out;
  for (std::size_t at = 0; at < text.size();) {
    const text::Utf8Step step = text::read_utf8(text, at);
    out += static_cast<wchar_t>(step.value);
    at += static_cast<std::size_t>(step.length);
  }
  return out;
}

/// Waits for a key; false when a signal came. A plain read would miss one that came just before.
bool wait_for_key() {
  pollfd ready[] = {{0, POLLIN, 0}, {interrupt_fd(), POLLIN, 0}};
  return !interrupted() && poll(ready, 2, -1) > 0 && ready[1].revents == 0;
}

class LineEditor final : public LineInput {
 public:
  explicit LineEditor(LineOptions options);
  ~LineEditor() override;
  Read read(std::string& line) override;

 private:
  static LineEditor& of(EditLine* edit) {
    void* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return *static_cast<LineEditor*>(self);
  }
  static wchar_t* show_prompt(EditLine* edit) { return of(edit).prompt_.data(); }
  static int read_character(EditLine* edit, wchar_t* character);
  static unsigned char paste(EditLine* edit, wint_t);
  static unsigned char new_line(EditLine* edit, wint_t);
  static unsigned char complete(EditLine* edit, wint_t);
  void bind_keys();
  void draw_anew();
  void remember(const std::string& line);
  void echo(bool on);

  LineOptions options_;
  std::wstring prompt_;
  int prompt_columns_ = 0;
  std::wstring begun_;  // what stood on the line when reading failed
  EditLine* edit_ = nullptr;
  HistoryW* history_ = nullptr;
};

LineEditor::LineEditor(LineOptions options)
    : options_(std::move(options)),
      prompt_(to_wide(options_.prompt)),
      prompt_columns_(static_cast<int>(prompt_.size())) {
  // \1 stands around what takes no room on the screen.
  if (colour_on_stderr()) prompt_ = L"\1\x1b[1;32m\1" + prompt_ + L"\1\x1b[0m\1";
  // libedit writes characters as the locale does; where that is not UTF-8, glibc's own is.
  if (std::setlocale(LC_CTYPE, "") == nullptr || std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
    std::setlocale(LC_CTYPE, "C.UTF-8");
  }
  edit_ = el_init("adder", stdin, stderr, stderr);
  history_ = history_winit();
  if (edit_ == nullptr || history_ == nullptr) {
    throw Error(ErrorKind::kIo, {.what = "the terminal cannot be used", .where = "line editing"});
  }
  HistEventW event;
  history_w(history_, &event, H_SETSIZE, static_cast<int>(LineHistory::kMostLines));
  history_w(history_, &event, H_SETUNIQUE, 1);
  el_wset(edit_, EL_CLIENTDATA, this);
  el_wset(edit_, EL_PROMPT_ESC, &show_prompt, L'\1');
  el_wset(edit_, EL_HIST, history_w, history_);
  el_wset(edit_, EL_GETCFN, &read_character);
  bind_keys();
  if (options_.history != nullptr) {
    for (const auto& line : options_.history->lines()) remember(line);
  }
  // Both cut a read short: the window has another size, or the program was stopped and goes on.
  handle(SIGWINCH, [](int) {});
  handle(SIGCONT, [](int) {});
  for (const int signal : {SIGTERM, SIGHUP, SIGQUIT}) handle(signal, &end_by_signal);
  tcgetattr(0, &terminal_before);
  terminal_taken = 1;
}

LineEditor::~LineEditor() {
  echo(true);
  terminal_taken = 0;
  for (const int signal : {SIGWINCH, SIGCONT, SIGTERM, SIGHUP, SIGQUIT}) handle(signal, SIG_DFL);
  history_wend(history_);
  el_end(edit_);
}

void LineEditor::bind_keys() {
  el_wset(edit_, EL_EDITOR, L"emacs");
  el_wset(edit_, EL_ADDFN, L"adder-paste", L"takes what is pasted", &paste);
  el_wset(edit_, EL_ADDFN, L"adder-new-line", L"begins a new line", &new_line);
  el_wset(edit_, EL_ADDFN, L"adder-complete", L"completes a command", &complete);
  const wchar_t* const bindings[][2] = {
      {L"\\e[200~", L"adder-paste"},
      {L"\\e^M", L"adder-new-line"},
      {L"\\e^J", L"adder-new-line"},
      {L"^I", L"adder-complete"},
      {L"^R", L"em-inc-search-prev"},
      {L"^U", L"vi-kill-line-prev"},
      {L"^W", L"ed-delete-prev-word"},
      {L"\\e^?", L"ed-delete-prev-word"},
      {L"^L", L"ed-clear-screen"},
      {L"\\e[3~", L"ed-delete-next-char"},
      {L"\\e[H", L"ed-move-to-beg"},
      {L"\\e[F", L"ed-move-to-end"},
      {L"\\eOH", L"ed-move-to-beg"},
      {L"\\eOF", L"ed-move-to-end"},
      {L"\\e[1~", L"ed-move-to-beg"},
      {L"\\e[4~", L"ed-move-to-end"},
      {L"\\e[1;5C", L"em-next-word"},
      {L"\\e[1;5D", L"ed-prev-word"},
      {L"\\e[1;3C", L"em-next-word"},
      {L"\\e[1;3D", L"ed-prev-word"},
      {L"\\e[5~", L"ed-search-prev-history"},
      {L"\\e[6~", L"ed-search-next-history"},
  };
  for (const auto& [keys, command] : bindings) {
    el_wset(edit_, EL_BIND, keys, command, nullptr);
  }
}

/// One character of UTF-8; what is none becomes U+FFFD.
int LineEditor::read_character(EditLine* edit, wchar_t* character) {
  std::string bytes;
  for (;;) {
    char byte = 0;
    const ssize_t count = wait_for_key() ? ::read(0, &byte, 1) : -1;
    if (count == 0) return 0;
    if (count < 0) {
      if (errno != EINTR || interrupted()) {
        const LineInfoW* line = el_wline(edit);  // libedit forgets it
        of(edit).begun_.assign(line->buffer, line->lastchar);
        return -1;
      }
      of(edit).draw_anew();
      continue;
    }
    bytes += byte;
    const text::Utf8Step step = text::read_utf8(bytes, 0);
    if (step.incomplete) continue;
    *character = static_cast<wchar_t>(step.value);
    return 1;
  }
}

/// After the window changed its size or the program went on. A terminal has broken the line anew by
/// then: it is drawn over where it began.
void LineEditor::draw_anew() {
  el_wset(edit_, EL_PREP_TERM, 0);  // stopped, it lost the terminal's mode
  el_wset(edit_, EL_PREP_TERM, 1);
  winsize window{};
  const int columns = ioctl(2, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
  const LineInfoW* line = el_wline(edit_);
  int rows = 0, column = prompt_columns_;
  for (const wchar_t* c = line->buffer; c < line->cursor; ++c) {
    const bool breaks = *c == L'\n';
    column = breaks ? columns : column + std::max(0, wcwidth(*c));
    rows += column / columns;
    column = breaks ? 0 : column % columns;
  }
  write_to_terminal("\r" + (rows > 0 ? "\x1b[" + std::to_string(rows) + "A" : "") + "\x1b[J" +
                    kBracketsOn);
  el_resize(edit_);
  el_wset(edit_, EL_REFRESH);
}

unsigned char LineEditor::paste(EditLine* edit, wint_t) {
  std::wstring text;
  const std::wstring_view end = kPasteEnd;
  for (wchar_t c = 0; !text.ends_with(end); text += c == L'\r' ? L'\n' : c) {
    if (el_wgetc(edit, &c) != 1) return CC_EOF;
  }
  text.resize(text.size() - end.size());
  std::erase_if(text,
                [](wchar_t c) { return (c < L' ' && c != L'\n' && c != L'\t') || c == 0x7f; });
  while (text.ends_with(L'\n')) text.pop_back();
  return el_winsertstr(edit, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

unsigned char LineEditor::new_line(EditLine* edit, wint_t) {
  return el_winsertstr(edit, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
}

unsigned char LineEditor::complete(EditLine* edit, wint_t) {
  const LineEditor& self = of(edit);
  const LineInfoW* line = el_wline(edit);
  const std::string begun = to_utf8({line->buffer, line->cursor});
  const auto found =
      self.options_.complete ? self.options_.complete(begun) : std::vector<std::string>();
  if (found.empty()) return CC_ERROR;
  std::string common = found.front();
  for (const auto& one : found) {
    const auto differ = std::ranges::mismatch(common, one).in1;
    common.erase(differ, common.end());
  }
  if (found.size() == 1) common += ' ';
  if (common.size() > begun.size()) {
    const std::wstring rest = to_wide(std::string_view(common).substr(begun.size()));
    return el_winsertstr(edit, rest.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  }
  std::string names = "\n";
  for (const auto& one : found) names += one + "  ";
  write_to_terminal(names + "\n");
  return CC_REDISPLAY;
}

void LineEditor::remember(const std::string& line) {
  HistEventW event;
  history_w(history_, &event, H_ENTER, to_wide(line).c_str());
}

/// What is typed before the next prompt shall not stand in the middle of an answer.
void LineEditor::echo(bool on) {
  termios mode = terminal_before;
  if (!on) mode.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  tcsetattr(0, TCSADRAIN, &mode);
}

LineInput::Read LineEditor::read(std::string& line) {
  clear_interrupt();
  begun_.clear();
  echo(true);
  el_wset(edit_, EL_PREP_TERM, 1);  // before the prompt says that keys are welcome
  write_to_terminal(kBracketsOn);
  int count = 0;
  const wchar_t* typed = el_wgets(edit_, &count);
  write_to_terminal(kBracketsOff);
  echo(false);
  if (typed == nullptr || count <= 0) {
    write_to_terminal(interrupted() ? "^C\n" : "\n");
    line = to_utf8(begun_);
    return interrupted() ? Read::kInterrupted : Read::kEnd;
  }
  line = to_utf8({typed, static_cast<std::size_t>(count)});
  if (line.ends_with('\n')) line.pop_back();
  if (options_.history != nullptr) options_.history->add(line);
  remember(line);
  return Read::kLine;
}

}  // namespace

std::unique_ptr<LineInput> make_line_editor(LineOptions options) {
  return std::make_unique<LineEditor>(std::move(options));
}

}  // namespace adder::cli
