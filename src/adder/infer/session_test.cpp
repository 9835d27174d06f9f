#include "adder/infer/session.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "adder/base/error.h"
#include "adder/base/thread_pool.h"
#include "adder/infer/state_file.h"
#include "adder/infer/test_support.h"
#include "adder/io/file.h"
#include "adder/text/byte_tokenizer.h"
#include "adder/text/char_tokenizer.h"

namespace adder::infer {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

class SessionTest : public testing::Test {
 protected:
  SessionTest()
      : source_(with_options({"vocab_size=260", "mamba2.learnable_init_states=true"})),
        model_(source_.config, source_.weights, pool_) {
    options_.max_new_tokens = 6;
    options_.ignore_eos = true;
    options_.sampler.temperature = 0.8;
    options_.sampler.repetition_penalty = 1.3;
    folder_ = fs::temp_directory_path() / ("adder_session_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  ~SessionTest() override { fs::remove_all(folder_); }

  const ThreadPool pool_{2};
  RandomModel source_;
  Model model_;
  text::ByteTokenizer tokenizer_;
  GenerateOptions options_;
  fs::path folder_;
};

TEST_F(SessionTest, TurnsGoOnFromTheCarriedState) {
  Session session(model_, tokenizer_);
  const Generation first = session.turn("Hello", options_);
  const Generation second = session.turn(" you", options_);
  EXPECT_EQ(second.prompt_tokens, 1 + 4);  // the last token drawn was still unread

  // The same in one piece: everything before the second answer is read at once.
  std::vector<int32_t> text = tokenizer_.encode("Hello");
  text.insert(text.end(), first.ids.begin(), first.ids.end());
  for (const int32_t id : tokenizer_.encode(" you")) text.push_back(id);
  State state = model_.new_state();
  EXPECT_EQ(Generator(model_, tokenizer_).run(text, state, options_).ids, second.ids);
  text.insert(text.end(), second.ids.begin(), second.ids.end());
  EXPECT_EQ(session.last_tokens(), text);
  EXPECT_EQ(session.tokens(), static_cast<int64_t>(text.size()));
}

TEST_F(SessionTest, UndoTakesATurnBack) {
  Session session(model_, tokenizer_);
  session.turn("One.", options_);
  const auto ids = session.last_tokens();
  const Generation before = session.turn("Two.", options_);
  EXPECT_TRUE(session.undo());
  EXPECT_EQ(session.last_tokens(), ids);
  EXPECT_EQ(session.turn("Two.", options_).ids, before.ids);
  EXPECT_TRUE(session.undo());
  EXPECT_TRUE(session.undo());
  EXPECT_FALSE(session.undo());
  EXPECT_EQ(session.tokens(), 0);
  EXPECT_THROW(session.turn("", options_), Error);
}

TEST_F(SessionTest, ATextInPartsIsTheText) {
  Session whole(model_, tokenizer_), parts(model_, tokenizer_);
  const std::vector<int32_t> text = random_ids(700, 256);
  const Generation want = whole.turn(text, options_);
  std::span<const int32_t> rest(text);
  std::vector<int32_t> drawn;
  const auto stats = parts.stream(
      [&] {
        const auto part = rest.first(std::min<std::size_t>(rest.size(), 64));
        rest = rest.subspan(part.size());
        return part;
      },
      options_,
      [&](std::optional<int32_t> id, std::string_view) {
        if (id) drawn.push_back(*id);
        return true;
      });
  EXPECT_EQ(drawn, want.ids);
  EXPECT_EQ(stats.prompt_tokens, 700);
  EXPECT_EQ(stats.new_tokens, 6);
  EXPECT_EQ(parts.last_tokens(), whole.last_tokens());
  EXPECT_EQ(parts.turn(" on", options_).ids, whole.turn(" on", options_).ids);
}

TEST_F(SessionTest, AnAnswerGoesOnWhereItEnded) {
  GenerateOptions twelve = options_;
  twelve.max_new_tokens = 12;
  twelve.sampler.temperature = options_.sampler.temperature = 0;
  Session session(model_, tokenizer_), other(model_, tokenizer_);
  Generation said = session.turn("Hello", options_);
  const Generation more = session.turn(std::span<const int32_t>(), options_);
  said.ids.insert(said.ids.end(), more.ids.begin(), more.ids.end());
  EXPECT_EQ(said.ids, other.turn("Hello", twelve).ids);
}

TEST_F(SessionTest, ATextThatIsOnlyReadCanBeGoneOnFrom) {
  GenerateOptions none = options_;
  none.max_new_tokens = 0;
  for (const char* text : {"Hello", "H"}) {
    Session session(model_, tokenizer_), other(model_, tokenizer_);
    EXPECT_EQ(session.turn(text, none).prompt_tokens, static_cast<int64_t>(std::strlen(text)));
    EXPECT_EQ(session.tokens(), static_cast<int64_t>(std::strlen(text)));
    EXPECT_EQ(session.last_tokens(), tokenizer_.encode(text));
    const auto nothing = std::span<const int32_t>();
    session.turn(nothing, none);  // still
    EXPECT_EQ(session.turn(nothing, options_).ids, other.turn(text, options_).ids);
    EXPECT_EQ(session.last_tokens(), other.last_tokens());
  }
  Session session(model_, tokenizer_);
  EXPECT_THROW(session.turn("", none), Error);
  EXPECT_EQ(session.tokens(), 0);
}

/// What a mark of a turn copies is all that undo() copies back.
TEST_F(SessionTest, UndoCostsTheSameHoweverLongTheText) {
  for (const char* window : {"0", "16"}) {
    const RandomModel source(
        with_options({"vocab_size=260", "layers=softmax,mamba2", "softmax.head_dim=8",
                      std::string("softmax.window=") + window}));
    Model model(source.config, source.weights, pool_);
    const auto bytes_after = [&](int64_t tokens) {
      Session session(model, tokenizer_);
      session.turn(random_ids(tokens, 256), options_);
      const std::size_t first = session.undo_bytes();
      session.turn("x", options_);
      return session.undo_bytes() - first;
    };
    // Long enough for the history to be full; a window holds at most two windows or a tile more.
    const std::size_t before = bytes_after(1200);
    EXPECT_GT(before, 0u);
    EXPECT_NEAR(static_cast<double>(bytes_after(12000)), static_cast<double>(before),
                std::string(window) == "0" ? 0 : 2 * 2 * 16 * 16 * sizeof(float));
  }
}

/// Bytes of this process in memory.
int64_t resident_bytes() {
  int64_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}
/// Bytes allocated and not freed.
int64_t heap_bytes() {
  const auto info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

TEST_F(SessionTest, TwentyThousandTokensAtFlatMemory) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the address sanitizer takes memory of its own";
#endif
  Session session(model_, tokenizer_);
  options_.max_new_tokens = 20'000;
  int64_t drawn = 0, heap = 0, resident = 0;
  const auto prompt = random_ids(100, 256);
  session.stream(source_of(prompt), options_, [&](std::optional<int32_t> id, auto) {
    if (id && ++drawn == 2000) {
      heap = heap_bytes();
      resident = resident_bytes();
    }
    return true;
  });
  EXPECT_EQ(drawn, 20'000);
  EXPECT_LE(heap_bytes() - heap, 4096);  // 18,000 ids would be 72,000
  EXPECT_LE(resident_bytes() - resident, 256 << 10);
}

TEST_F(SessionTest, AFailedTurnLeavesNothingBehind) {
  for (const char* window : {"0", "9"}) {
    const RandomModel source(
        with_options({"vocab_size=260", "layers=softmax,mamba2", "softmax.head_dim=8",
                      "softmax.d_conv=3", std::string("softmax.window=") + window}));
    Model model(source.config, source.weights, pool_);
    Session session(model, tokenizer_), other(model, tokenizer_);
    session.turn("One.", options_);
    other.turn("One.", options_);
    const OnToken fails = [](std::optional<int32_t>, std::string_view) -> bool {
      throw std::runtime_error("the caller's own");
    };
    EXPECT_THROW(session.turn("Two.", options_, fails), std::runtime_error);
    EXPECT_EQ(session.turn("Three.", options_).ids, other.turn("Three.", options_).ids);
    session.turn("A longer text, beyond the window.", options_);
    session.turn("And another.", options_);
    EXPECT_TRUE(session.undo() && session.undo());
    EXPECT_EQ(session.turn("Four.", options_).ids, other.turn("Four.", options_).ids);
  }
}

TEST_F(SessionTest, SavedAndLoadedItGoesOnAsBefore) {
  Session session(model_, tokenizer_), other(model_, tokenizer_);
  session.turn("Hello", options_);
  session.save(folder_ / "chat.safetensors");
  other.turn("Something else", options_);
  other.load(folder_ / "chat.safetensors");
  EXPECT_EQ(other.last_tokens(), session.last_tokens());
  EXPECT_FALSE(other.undo());
  EXPECT_EQ(other.turn(" again", options_).ids, session.turn(" again", options_).ids);
}

TEST_F(SessionTest, SaveWritesOverNothingButASavedState) {
  const fs::path file = folder_ / "notes.txt", linked = folder_ / "link";
  const Session session(model_, tokenizer_);
  io::write_file_atomic(file, "my notes");
  fs::create_symlink(file, linked);
  for (const fs::path& name : {file, linked, folder_}) {
    EXPECT_THROW(session.save(name), Error) << name;
  }
  EXPECT_EQ(io::read_file(file, 100), "my notes");
  fs::remove(file);
  session.save(file);
  EXPECT_NO_THROW(session.save(file));
}

TEST_F(SessionTest, LoadRefusesOtherModelsTokenizersAndFiles) {
  const fs::path file = folder_ / "chat.safetensors";
  Session session(model_, tokenizer_);
  session.turn("Hello", options_);
  session.save(file);
  const auto kind = [&](Session& s) -> std::optional<ErrorKind> {
    try {
      s.load(file);
    } catch (const Error& error) {
      return error.kind();
    }
    return std::nullopt;
  };
  const RandomModel retrained(source_.config, 8);
  Model other(retrained.config, retrained.weights, pool_);
  Session of_other(other, tokenizer_);
  EXPECT_EQ(kind(of_other), ErrorKind::kShape);
  const auto chars = text::CharTokenizer::train("abc");
  Session of_chars(model_, chars);
  EXPECT_EQ(kind(of_chars), ErrorKind::kShape);

  const std::string good = io::read_file(file, 1 << 20);
  io::write_file_atomic(file, std::string_view(good).substr(0, good.size() / 2));
  EXPECT_EQ(kind(session), ErrorKind::kFormat);
  std::string wrong = good;
  const std::size_t at = wrong.find("\"tokens\":\"");
  ASSERT_NE(at, std::string::npos);
  for (const char* tokens : {"99", "03"}) {  // more than there are; fewer than were read
    wrong.replace(at + 10, 2, tokens);
    io::write_file_atomic(file, wrong);
    EXPECT_EQ(kind(session), ErrorKind::kFormat) << tokens;
  }
  std::string old = good;
  const std::size_t version = old.find("\"version\":\"");
  ASSERT_NE(version, std::string::npos);
  old[version + 11] = '2';
  io::write_file_atomic(file, old);
  try {
    session.load(file);
    ADD_FAILURE() << "a state of another version was taken";
  } catch (const Error& error) {
    EXPECT_NE(error.text().next.find("begin a new conversation"), std::string::npos);
  }
  io::write_file_atomic(file, good);
  EXPECT_EQ(kind(session), std::nullopt);
}

}  // namespace
}  // namespace adder::infer
