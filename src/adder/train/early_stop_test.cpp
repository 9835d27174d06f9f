#include "adder/train/early_stop.h"

#include <gtest/gtest.h>

#include <cmath>

#include "adder/base/error.h"
#include "adder/train/options.h"

namespace adder::train {
namespace {

std::string cause(const EarlyStop& stop, double minutes = 0, double epochs = 0) {
  const auto reason = stop.reason(minutes, epochs);
  return reason ? reason->cause : "";
}

TEST(EarlyStop, EndsAtTheTarget) {
  EarlyStop stop({.metric = "train", .target_loss = 0.5}, false);
  EXPECT_EQ(cause(stop), "");
  stop.look(10, 0.51);
  EXPECT_EQ(cause(stop), "");
  stop.look(20, 0.5);
  EXPECT_EQ(cause(stop), "target_loss");
  EXPECT_EQ(stop.reason(0, 0)->text,
            "the training loss of 0.5000 nats has reached the target of 0.5");
  EarlyStop memorise({.metric = "train", .target_loss = 0.5}, true);
  memorise.look(10, 0.25);
  EXPECT_EQ(memorise.reason(0, 0)->text.find("memorised: "), 0u);
}

TEST(EarlyStop, LosesPatienceOnlyWithLooksThatAreNoBetterByMinDelta) {
  EarlyStop stop({.metric = "val", .patience = 2, .min_delta = 0.25}, false);
  for (const double loss : {4.0, 3.5, 3.25, 3.0}) {  // 3.25 is not better enough, 3.0 is
    stop.look(1, loss);
    EXPECT_EQ(cause(stop), "") << loss;
  }
  stop.look(5, 2.75);  // exactly min_delta
  EXPECT_EQ(cause(stop), "");
  stop.look(6, NAN);
  EXPECT_EQ(cause(stop), "patience");
  EXPECT_EQ(stop.reason(0, 0)->text,
            "no held-out loss in 2 looks was 0.25 nats better than the 3.0000 of step 1");
}

TEST(EarlyStop, EndsWithTheTimeAndTheText) {
  const EarlyStop stop({.minutes = 3, .epochs = 2.5}, false);
  EXPECT_EQ(cause(stop, 2.9, 2.4), "");
  EXPECT_EQ(cause(stop, 3, 2.4), "minutes");
  EXPECT_EQ(cause(stop, 0, 2.5), "epochs");
  EXPECT_EQ(cause(EarlyStop({}, false), 1e9, 1e9), "");
}

TEST(EarlyStop, StateSurvivesACheckpointExactly) {
  const StopOptions options{.metric = "val", .target_loss = 0.1, .patience = 3};
  EarlyStop stop(options, false), fresh(options, false);
  const auto copy = [&](const EarlyStop& from) {
    EarlyStop to(options, false);
    to.restore(io::parse_json(from.state().dump(), "state"));
    return to;
  };
  EXPECT_EQ(cause(copy(fresh)), "");  // infinities too
  stop.look(7, 1.0 / 3);
  for (int i = 0; i < 2; ++i) stop.look(8, 0.5);
  EarlyStop restored = copy(stop);
  EXPECT_EQ(restored.state(), stop.state());
  EXPECT_EQ(cause(restored), "");
  restored.look(9, 1.0 / 3);  // as good is not better
  EXPECT_EQ(cause(restored), "patience");
}

TEST(EarlyStop, LooksAtAnotherMetricAreForgotten) {
  EarlyStop train({.metric = "train", .target_loss = 0.5, .patience = 1}, false);
  train.look(10, 0.25);
  train.look(20, 0.5);
  EarlyStop val({.metric = "val", .target_loss = 0.5, .patience = 1}, false);
  val.restore(train.state());
  EXPECT_EQ(cause(val), "");
  val.look(30, 3);
  EXPECT_EQ(cause(val), "");  // the first, so the best
  val.look(40, 0.5);
  val.restore(train.state());  // a roll-back to before the metric was another
  EXPECT_EQ(val.state(), EarlyStop({.metric = "val"}, false).state());
}

TEST(EarlyStop, LooksAreAsFarApartAsTheGuardRemembers) {
  EXPECT_EQ(look_every(7), 7);
  EXPECT_EQ(look_every(0), 10);
  EXPECT_EQ(look_every(1000), 128);
}

/// The key that a recipe is refused for; "" when it is taken.
std::string refused(Recipe recipe) {
  recipe.settle();
  try {
    recipe.check();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    return error.text().where;
  }
  return "";
}

TEST(EarlyStop, OptionsThatNothingReadsAreRefused) {
  Recipe recipe;
  EXPECT_EQ(refused(recipe), "");
  recipe.train.stop.patience = 3;
  EXPECT_NE(refused(recipe).find("train.stop.patience"), std::string::npos);
  recipe.train.stop.metric = "val";
  EXPECT_NE(refused(recipe).find("train.stop.metric"), std::string::npos);  // never evaluated
  recipe.train.eval_every = 100;
  EXPECT_EQ(refused(recipe), "");
  recipe.data.val_fraction = 0;  // nothing is held out
  EXPECT_NE(refused(recipe).find("train.stop.metric"), std::string::npos);
  recipe.train.stop.metric = "loss";
  EXPECT_NE(refused(recipe).find("train.stop.metric"), std::string::npos);
}

TEST(EarlyStop, OverfitWatchesTheTrainingLossAndHoldsNothingOut) {
  Recipe recipe;
  recipe.train.overfit = true;
  recipe.settle();
  EXPECT_EQ(recipe.data.val_fraction, 0);
  EXPECT_EQ(recipe.train.stop.metric, "train");
  EXPECT_EQ(recipe.train.stop.target_loss, 0.5);  // the README's line
  recipe.train.stop.target_loss = 0.1;
  recipe.settle();
  EXPECT_EQ(recipe.train.stop.target_loss, 0.1);
  EXPECT_EQ(refused(recipe), "");
  recipe.data.val_documents = 0.5;
  EXPECT_NE(refused(recipe).find("train.overfit"), std::string::npos);
}

}  // namespace
}  // namespace adder::train
