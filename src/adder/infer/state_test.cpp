// States that grow with the text: their rows, their snapshots, their files.
#include "adder/infer/state.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>
#include <optional>

#include "adder/base/error.h"
#include "adder/base/thread_pool.h"
#include "adder/infer/state_file.h"
#include "adder/infer/test_support.h"
#include "adder/io/file.h"
#include "adder/io/safetensors.h"

namespace adder::infer {
namespace {

using namespace testing_support;
namespace fs = std::filesystem;

model::ModelConfig config_of(const std::string& window) {
  return with_options({"layers=softmax,mamba2", "softmax.head_dim=8", "softmax.n_kv_heads=1",
                       "softmax.d_conv=3", "softmax.window=" + window});
}

constexpr int64_t kWidth = 8;

/// Appends `count` rows that count up from `value`.
void add(State& state, int64_t count, float value) {
  float* rows = state.append(0, 0, count);
  std::iota(rows, rows + count * kWidth, value * kWidth);
}

TEST(State, KeepsEveryRowWhereNoWindowIs) {
  State state(config_of("0"));
  EXPECT_EQ(state.rows(0, 0), 0);
  const std::size_t empty = state.bytes();
  int64_t total = 0;
  for (const int64_t count : {1, 1, 5, 600, 1, 0, 33}) {
    add(state, count, static_cast<float>(total));
    total += count;
    EXPECT_EQ(state.rows(0, 0), total);
  }
  for (int64_t i = 0; i < total * kWidth; ++i) ASSERT_EQ(state.array(0, 0)[i], float(i));
  EXPECT_EQ(state.bytes(), empty + sizeof(float) * static_cast<std::size_t>(total * kWidth));
}

TEST(State, KeepsTheLastRowsOfAWindow) {
  State state(config_of("10"));
  int64_t total = 0;
  for (int64_t i = 0; i < 200; ++i) {
    const int64_t count = i % 50 == 7 ? 64 : 1;
    add(state, count, static_cast<float>(total));
    total += count;
    const int64_t held = state.rows(0, 0);
    ASSERT_GE(held, std::min<int64_t>(total, 10));
    ASSERT_LE(held, count == 1 ? 20 + 64 * (i % 50 == 8) : 10 + 64);
    for (int64_t r = 1; r <= std::min<int64_t>(total, 10); ++r) {
      ASSERT_EQ(state.last_rows(0, 0, r)[0], float((total - r) * kWidth));
    }
  }
  EXPECT_THROW(state.last_rows(0, 0, 21), Error);
}

TEST(State, ACopyIsASnapshot) {
  State state(config_of("0"));
  add(state, 3, 0);
  const State snapshot = state;
  add(state, 4, 3);
  state.array(0, 0)[0] = -1;
  EXPECT_EQ(snapshot.rows(0, 0), 3);
  EXPECT_EQ(snapshot.array(0, 0)[0], 0);
  EXPECT_TRUE(state.same_layout(snapshot));
  EXPECT_FALSE(state.same_layout(State(config_of("5"))));
  state = snapshot;
  EXPECT_EQ(state.rows(0, 0), 3);
}

TEST(State, AMarkIsComeBackTo) {
  for (const char* window : {"0", "10"}) {
    State state(config_of(window));
    std::vector<State> copies;
    std::vector<State::Mark> marks;
    for (int64_t i = 0; i < 5; ++i) {
      add(state, 7, static_cast<float>(state.tokens));
      state.tokens += 7;
      state.array(1, 1)[0] = static_cast<float>(i);
      copies.push_back(state);
      marks.push_back(state.mark());
    }
    add(state, 300, 35);
    for (const std::size_t i : {4, 2, 0}) {
      state.restore(marks[i]);
      EXPECT_EQ(state.tokens, copies[i].tokens);
      EXPECT_EQ(state.array(1, 1)[0], static_cast<float>(i));
      ASSERT_EQ(state.rows(0, 0), copies[i].rows(0, 0));
      for (int64_t k = 0; k < state.rows(0, 0) * kWidth; ++k) {
        ASSERT_EQ(state.array(0, 0)[k], copies[i].array(0, 0)[k]);
      }
    }
  }
}

TEST(State, AMarkDoesNotGrowWithTheText) {
  for (const char* window : {"0", "10"}) {
    State state(config_of(window));
    add(state, 20, 0);
    const std::size_t before = state.mark().bytes();
    for (int64_t i = 0; i < 1000; ++i) add(state, 1, 0);
    EXPECT_LE(state.mark().bytes(), before) << window;
  }
}

class StateFile : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("adder-state-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    io::make_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path file() const { return folder_ / "s.safetensors"; }

  /// Saves the state as `change` leaves the file's arrays, and tells how loading fails, if it does.
  template <typename Change>
  std::optional<ErrorKind> load_changed(const SavedState& state, Change&& change) {
    save_state(file(), state, model_, "t");
    {
      const auto saved = io::SafetensorsFile::open(file());
      auto tensors = saved.tensors();
      auto metadata = saved.metadata();
      change(tensors, metadata);
      io::write_safetensors(folder_ / "changed", tensors, metadata);
    }
    try {
      load_state(folder_ / "changed", model_, "t");
    } catch (const Error& error) {
      return error.kind();
    }
    return std::nullopt;
  }

  /// A text of which `read` tokens were read.
  SavedState after(int64_t read, const std::vector<int32_t>& ids) {
    const auto first = std::span(ids).first(static_cast<std::size_t>(read));
    SavedState saved{model_.new_state(), TokenHistory(first), {ids.begin() + read, ids.end()}};
    std::vector<float> logits(static_cast<std::size_t>(model_.vocab_size()));
    if (read > 0) model_.prefill(first, saved.state, logits);
    return saved;
  }

  const ThreadPool pool_{2};
  RandomModel source_{config_of(GetParam())};
  Model model_{source_.config, source_.weights, pool_};
  fs::path folder_;
};
INSTANTIATE_TEST_SUITE_P(Windows, StateFile, testing::Values("0", "9"));

TEST_P(StateFile, ALoadedStateGoesOnAsTheSavedOne) {
  const auto ids = random_ids(60, model_.vocab_size());
  std::vector<float> logits(static_cast<std::size_t>(model_.vocab_size())), again = logits;
  for (const int64_t read : {0, 3, 9, 40}) {
    SavedState saved = after(read, ids);
    save_state(file(), saved, model_, "t");
    SavedState loaded = load_state(file(), model_, "t");
    EXPECT_EQ(loaded.unread, saved.unread);
    EXPECT_EQ(loaded.history.last(), saved.history.last());
    EXPECT_EQ(loaded.history.occurred_bits(), saved.history.occurred_bits());
    EXPECT_EQ(loaded.state.tokens, read);
    const auto rest = std::span(ids).subspan(static_cast<std::size_t>(read));
    model_.prefill(rest, saved.state, logits);
    model_.prefill(rest, loaded.state, again);
    for (std::size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], again[i], 2e-5) << read;
  }
}

TEST_P(StateFile, ChangedContentsAreRefused) {
  const SavedState state = after(20, random_ids(30, model_.vocab_size()));
  using Tensors = std::vector<io::TensorInfo>;
  EXPECT_EQ(load_changed(state, [](Tensors&, io::Metadata&) {}), std::nullopt);
  EXPECT_EQ(load_changed(state, [](Tensors&, io::Metadata& m) { m.erase("content"); }),
            ErrorKind::kFormat);
  for (const char* name : {"unread", "last", "occurred", "layers.0.k", "layers.0.v",
                           "layers.0.conv", "layers.1.ssm"}) {
    std::vector<std::byte> bytes;
    const auto change = [&](Tensors& tensors, io::Metadata&) {  // an id becomes its neighbour
      for (io::TensorInfo& t : tensors) {
        if (t.name != name) continue;
        bytes.assign(t.bytes.begin(), t.bytes.end());
        bytes[0] ^= std::byte{1};
        t.bytes = bytes;
      }
    };
    EXPECT_EQ(load_changed(state, change), ErrorKind::kFormat) << name;
  }
}

TEST_P(StateFile, ATokenThatDidNotOccurIsRefused) {
  SavedState state = after(20, random_ids(30, model_.vocab_size()));
  std::vector<uint8_t> occurred = state.history.occurred_bits();
  int32_t other = 0;
  while (state.history.occurred(other)) ++other;
  ASSERT_LT(static_cast<std::size_t>(other / 8), occurred.size());
  occurred[static_cast<std::size_t>(other / 8)] |= static_cast<uint8_t>(1u << (other % 8));
  const auto change = [&](std::vector<io::TensorInfo>& tensors, io::Metadata&) {
    for (io::TensorInfo& t : tensors) {
      if (t.name == "occurred") t.bytes = std::as_bytes(std::span(occurred));
    }
  };
  EXPECT_EQ(load_changed(state, change), ErrorKind::kFormat);
}

TEST_P(StateFile, WrongLengthsAreRefused) {
  const SavedState state = after(20, random_ids(30, model_.vocab_size()));
  using Tensors = std::vector<io::TensorInfo>;
  const auto find = [](Tensors& tensors, const std::string& name) {
    return std::find_if(tensors.begin(), tensors.end(),
                        [&](const io::TensorInfo& t) { return t.name == name; });
  };
  for (const char* name : {"layers.0.k", "layers.0.v", "layers.0.conv", "layers.1.ssm"}) {
    EXPECT_EQ(
        load_changed(state,
                     [&](Tensors& tensors, io::Metadata&) {  // a row less
                       auto& t = *find(tensors, name);
                       t.bytes = t.bytes.first(
                           t.bytes.size() - t.bytes.size() / static_cast<std::size_t>(t.shape[0]));
                       --t.shape[0];
                     }),
        ErrorKind::kFormat)
        << name;
    EXPECT_EQ(load_changed(state, [&](Tensors& tensors,
                                      io::Metadata&) { tensors.erase(find(tensors, name)); }),
              ErrorKind::kFormat)
        << name;
  }
  // The number of tokens says how many rows there are.
  for (const char* tokens : {"21", "0", "8", "31", "-1", "", "9223372036854775807", "2e1"}) {
    EXPECT_EQ(
        load_changed(state, [&](Tensors&, io::Metadata& metadata) { metadata["tokens"] = tokens; }),
        ErrorKind::kFormat)
        << tokens;
  }
}

}  // namespace
}  // namespace adder::infer
