// adder chat, and generate, at a pseudo-terminal: the keys of a person, what the screen gets.
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <chrono>

#include "adder/cli/test_program.h"
#include "adder/io/file.h"

namespace adder::cli {
namespace {

/// The program with a terminal of 80 columns.
class Terminal {
 public:
  Terminal(std::vector<std::string> words, const std::vector<std::string>& environment) {
    winsize size{};
    size.ws_col = 80;
    size.ws_row = 24;
    words.insert(words.begin(), ADDER_PROGRAM);
    std::vector<char*> pointers;
    for (auto& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    if (openpty(&screen_, &keys_, nullptr, nullptr, &size) != 0) return;
    child_ = fork();
    if (child_ != 0) return;
    for (const auto& entry : environment) putenv(const_cast<char*>(entry.c_str()));
    login_tty(keys_);
    execv(ADDER_PROGRAM, pointers.data());
    _exit(127);
  }
  ~Terminal() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(screen_);
    close(keys_);
  }

  void type(const std::string& text) {
    ASSERT_EQ(write(screen_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  /// Waits until the screen has got `text`, and takes all that came until then.
  std::string until(const std::string& text) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    std::size_t at;
    while ((at = got_.find(text)) == std::string::npos && !testing::Test::HasFailure()) {
      pollfd ready{screen_, POLLIN, 0};
      if (std::chrono::steady_clock::now() > end || poll(&ready, 1, 1000) < 0) break;
      char buffer[4096];
      const ssize_t count = (ready.revents & POLLIN) != 0 ? read(screen_, buffer, 4096) : 0;
      if (count > 0) got_.append(buffer, static_cast<std::size_t>(count));
    }
    EXPECT_NE(at, std::string::npos) << "no \"" << text << "\" in: " << got_;
    const std::string before = got_.substr(0, at);
    got_.erase(0, at == std::string::npos ? 0 : at + text.size());
    return before;
  }
  /// The prompt, ready for keys.
  void prompt() { until("\x1b[?2004h"), until("> "); }
  void signal(int number) const {
    ASSERT_GT(child_, 0);  // 0 would be everybody
    kill(child_, number);
  }
  /// Waits for the end; the exit code, or minus the signal.
  int end() {
    int status = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (waitpid(child_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > end) return -1000;
      char buffer[4096];
      pollfd ready{screen_, POLLIN, 0};
      if (poll(&ready, 1, 10) > 0 && read(screen_, buffer, 4096) < 0) continue;
    }
    child_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  /// Whether the terminal echoes and gives whole lines, as it did at first.
  bool is_cooked() const {
    termios mode{};
    return tcgetattr(keys_, &mode) == 0 && (mode.c_lflag & ECHO) != 0 &&
           (mode.c_lflag & ICANON) != 0;
  }

 private:
  int screen_ = -1, keys_ = -1;
  pid_t child_ = 0;
  std::string got_;
};

class ChatTerminal : public testing::Test {
 protected:
  ChatTerminal() { make_model(folder_ / "model"); }
  void SetUp() override {
    int screen, keys;
    if (openpty(&screen, &keys, nullptr, nullptr, nullptr) != 0) {
      GTEST_SKIP() << "no pseudo-terminal can be had here";
    }
    close(screen);
    close(keys);
  }
  Terminal open(std::vector<std::string> more = {"--max-new-tokens", "0"}) {
    std::vector<std::string> words = {"chat", folder_ / "model"};
    words.insert(words.end(), more.begin(), more.end());
    return Terminal(
        words, {"TERM=xterm", "NO_COLOR=1", "LC_ALL=C", "XDG_STATE_HOME=" + (folder_ / "state")});
  }
  std::string history() const {
    return io::read_file(folder_ / "state/adder/chat_history", 1 << 20);
  }
  const TestFolder folder_;
};

TEST_F(ChatTerminal, ALineIsEdited) {
  Terminal terminal = open();
  EXPECT_NE(terminal.until("Ctrl-D ends.").find("model: 2 x mamba2"), std::string::npos);
  terminal.prompt();
  // b, left, a, end, " word", word cut, " \u00E9\u6F22", back: "ab \u00E9"
  terminal.type("b\x1b[Da\x1b[F word\x17\u00E9\u6F22\x7f\r");
  terminal.prompt();
  terminal.type(
      "/tok\tone two\x01\x1b"
      "f\x0b\x19\r");  // Tab; begin, word, kill, yank
  terminal.until("o|n|e| |t|w|o\r\n");
  terminal.prompt();
  terminal.type(
      "\x12"
      "b\r");  // found among the earlier lines
  terminal.prompt();
  terminal.type("\x04");
  EXPECT_EQ(terminal.end(), 0);
  EXPECT_TRUE(terminal.is_cooked());
  EXPECT_EQ(history(), "ab \u00E9\n/tokens one two\nab \u00E9\n");
}

TEST_F(ChatTerminal, LinesOfBeforeAreThere) {
  for (const char* keys : {"first\r", "\x1b[A\x1b[A more\r"}) {
    Terminal terminal = open();
    terminal.prompt();
    terminal.type(keys);
    terminal.prompt();
    terminal.type("/quit\r");
    EXPECT_EQ(terminal.end(), 0);
  }
  EXPECT_EQ(history(), "first\n/quit\nfirst more\n/quit\n");
  Terminal terminal = open({"--max-new-tokens", "0", "--no-history"});
  terminal.prompt();
  terminal.type("secret\r");
  terminal.prompt();
  terminal.type("\x04");
  EXPECT_EQ(terminal.end(), 0);
  EXPECT_EQ(history().find("secret"), std::string::npos);
}

TEST_F(ChatTerminal, WhatIsPastedIsOneText) {
  Terminal terminal = open();
  terminal.prompt();
  terminal.type("\x1b[200~one\rtwo\r\x1b[201~ three\r");
  terminal.prompt();
  terminal.type("\x04");
  EXPECT_EQ(terminal.end(), 0);
  EXPECT_EQ(history(), "one\\ntwo three\n");
}

TEST_F(ChatTerminal, CtrlCEndsAnAnswerAndThenTheConversation) {
  Terminal terminal = open({"--max-new-tokens", "1000000000", "--ignore-eos"});
  terminal.prompt();
  terminal.type("Hello\r");
  terminal.until("\n");
  terminal.until(" ");  // it is being answered
  usleep(100'000);      // until nothing more fits on the screen, and the answer waits
  terminal.type("\x03");
  EXPECT_EQ(terminal.until("\x1b[?2004h").find("error"), std::string::npos);
  terminal.until("> ");
  terminal.type("something");
  terminal.until("something");
  terminal.type("\x03");
  terminal.prompt();
  terminal.type("\x03");
  terminal.until("Ctrl-C again");
  terminal.prompt();
  terminal.type("\x03");
  EXPECT_EQ(terminal.end(), 0);
  EXPECT_TRUE(terminal.is_cooked());
}

TEST_F(ChatTerminal, CtrlCWhileAFileIsReadEndsAndKeepsNothing) {
  const auto book = folder_.put("book.txt", std::string(50 << 20, 'x'));  // minutes
  Terminal terminal = open({"--file", book, "--keep-state", folder_ / "talk.state"});
  terminal.until("reading");
  terminal.type("\x03");
  terminal.until("nothing of ");
  EXPECT_EQ(terminal.end(), 1);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "talk.state"));
}

TEST_F(ChatTerminal, TheStateIsKeptAfterEachTurn) {
  const std::vector<std::string> words = {"--max-new-tokens", "3", "--ignore-eos", "--keep-state",
                                          folder_ / "talk.state"};
  {
    Terminal terminal = open(words);
    terminal.prompt();
    terminal.type("Hello\r");
    terminal.prompt();
    terminal.signal(SIGKILL);
    EXPECT_EQ(terminal.end(), -SIGKILL);
  }
  Terminal terminal = open(words);
  terminal.until("loaded: 8 tokens");
}

TEST_F(ChatTerminal, TextCannotSteerIt) {
  Terminal terminal(
      {"generate", folder_ / "model", "--prompt", "a\x1b[2Jb", "--max-new-tokens", "0"}, {});
  terminal.until("a\\x1b[2Jb");
  EXPECT_EQ(terminal.end(), 0);
}

TEST_F(ChatTerminal, ASignalLeavesTheTerminalAsItWas) {
  Terminal terminal = open();
  terminal.prompt();
  EXPECT_FALSE(terminal.is_cooked());
  terminal.signal(SIGTERM);
  EXPECT_EQ(terminal.end(), -SIGTERM);
  EXPECT_TRUE(terminal.is_cooked());
}

}  // namespace
}  // namespace adder::cli
