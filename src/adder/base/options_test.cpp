#include "adder/base/options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "adder/base/error.h"
#include "adder/base/list_text.h"

namespace adder {
namespace {

struct ScheduleOptions {
  double warmup_steps = 100;
  std::string kind = "cosine";
  void describe(OptionVisitor& v) {
    v.field("warmup_steps", warmup_steps, "steps of linear warm-up");
    v.choice("kind", kind, {"cosine", "linear", "constant"}, "shape of the decay");
  }
};

struct TrainOptions {
  int64_t steps = 10;
  bool compile = false;
  double lr = 3e-4;
  std::vector<std::string> files;
  std::vector<double> betas = {0.9, 0.95};
  ScheduleOptions schedule;
  void describe(OptionVisitor& v) {
    v.field("steps", steps, "steps");
    v.field("compile", compile, "flag");
    v.group("schedule", schedule);
    v.field("lr", lr, "learning rate");
    v.field("files", files, "inputs");
    v.field("betas", betas, "moments");
  }
};

struct Root {
  TrainOptions train;
  void describe(OptionVisitor& v) { v.group("train", train); }
};

template <typename F>
ErrorText refusal(F&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    return error.text();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(Options, FlattenKeepsOrderAndNames) {
  Root root;
  std::vector<std::string> keys;
  for (const auto& entry : flatten(root)) keys.push_back(entry.key);
  EXPECT_EQ(keys, (std::vector<std::string>{"train.steps", "train.compile",
                                            "train.schedule.warmup_steps", "train.schedule.kind",
                                            "train.lr", "train.files", "train.betas"}));
}

TEST(Options, SetWritesThrough) {
  Root root;
  const auto entries = flatten(root);
  set_from_text(find_option(entries, "train.steps"), "1e6");
  set_from_text(find_option(entries, "train.compile"), "true");
  set_from_text(find_option(entries, "train.lr"), "1.5e-3");
  set_from_text(find_option(entries, "train.files"), "a.txt, b.txt");
  set_from_text(find_option(entries, "train.betas"), "0.8,0.99");
  set_from_text(find_option(entries, "train.schedule.kind"), "linear");
  EXPECT_EQ(root.train.steps, 1000000);
  EXPECT_TRUE(root.train.compile);
  EXPECT_EQ(root.train.lr, 1.5e-3);
  EXPECT_EQ(root.train.files, (std::vector<std::string>{"a.txt", "b.txt"}));
  EXPECT_EQ(root.train.betas, (std::vector<double>{0.8, 0.99}));
  EXPECT_EQ(root.train.schedule.kind, "linear");
}

TEST(Options, RefusesWhatDoesNotFitAndChangesNothing) {
  Root root;
  const auto entries = flatten(root);
  const auto set = [&](const char* key, const char* text) {
    return refusal([&] { set_from_text(find_option(entries, key), text); });
  };
  EXPECT_EQ(set("train.steps", "1.5").what, "train.steps: expected an integer, got \"1.5\"");
  for (const char* text :
       {"", " 1", "1 ", "1x", "9223372036854775808", "1e300", "nan", "inf", "0x10"}) {
    set("train.steps", text);
  }
  for (const char* text : {"", "fast", "1,5", "1e", "+1"}) set("train.lr", text);
  for (const char* text : {"", "True", "1", "yes"}) set("train.compile", text);
  set("train.betas", "0.5,x");
  EXPECT_EQ(set("train.schedule.kind", "cosin").next, "did you mean \"cosine\"?");
  EXPECT_EQ(root.train.steps, 10);
  EXPECT_EQ(root.train.betas, (std::vector<double>{0.9, 0.95}));
}

TEST(Options, TextOfAValueSetsItExactly) {
  Root root, other;
  root.train.steps = std::numeric_limits<int64_t>::min();
  root.train.lr = 0.1 + 0.2;
  root.train.betas = {1.0 / 3, std::numeric_limits<double>::denorm_min(), -0.0,
                      std::numeric_limits<double>::infinity()};
  for (const std::vector<std::string>& files :
       {std::vector<std::string>{}, {""}, {"", ""}, {"a,b", "c\\", " d "}, {"e", "", "\\e"}}) {
    root.train.files = files;
    const auto from = flatten(root);
    const auto to = flatten(other);
    for (std::size_t i = 0; i < from.size(); ++i) set_from_text(to[i], to_text(from[i].value));
    EXPECT_EQ(other.train.steps, root.train.steps);
    EXPECT_EQ(other.train.lr, root.train.lr);
    EXPECT_EQ(other.train.betas, root.train.betas);
    EXPECT_TRUE(std::signbit(other.train.betas[2]));
    EXPECT_EQ(other.train.files, files);
  }
}

TEST(Options, UnknownNameGetsTheNearest) {
  Root root;
  const auto entries = flatten(root);
  const auto next = [&](const char* key) {
    return refusal([&] { find_option(entries, key); }).next;
  };
  EXPECT_EQ(next("train.stesp"), "did you mean \"train.steps\"?");  // one swap
  EXPECT_EQ(next("lr"), "did you mean \"train.lr\"?");
  EXPECT_EQ(next("warmup_step"), "did you mean \"train.schedule.warmup_steps\"?");
  EXPECT_EQ(next("zzzzzzzz"), "");
  EXPECT_EQ(next(std::string(100000, 'x').c_str()), "");
}

TEST(Nearest, ChoosesTheSmallestDistance) {
  EXPECT_EQ(nearest("mamba", {"mamba1", "mamba2", "samba"}), "mamba1");  // all at one: the first
  EXPECT_EQ(nearest("mamab2", {"mamba1", "mamba2"}), "mamba2");
  EXPECT_EQ(nearest("a", {}), "");
}

TEST(ListText, SplitsPlainText) {
  using List = std::vector<std::string>;
  EXPECT_EQ(split_list(""), List{});
  EXPECT_EQ(split_list("a"), List{"a"});
  EXPECT_EQ(split_list(" a b , c "), (List{"a b", "c"}));
  EXPECT_EQ(split_list("a,,b,"), (List{"a", "", "b", ""}));
  EXPECT_EQ(join_list(List{"a", "b,c"}), "a,b\\,c");
}

}  // namespace
}  // namespace adder
