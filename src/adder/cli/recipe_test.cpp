#include "adder/cli/recipe.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "adder/base/error.h"
#include "adder/cli/test_program.h"

namespace adder::cli {
namespace {

LoadedRecipe load(const std::string& toml, const std::vector<std::string>& flags) {
  const TestFolder folder;
  LoadedRecipe loaded;
  Arguments args("train RECIPE", "", {});
  loaded.add_flags(args);
  EXPECT_TRUE(args.parse(flags));
  loaded.read(folder.put("r.toml", toml), args);
  return loaded;
}

TEST(Recipe, FlagsWinOverTheFile) {
  const auto loaded = load("[train]\nsteps = 5\nlr = 0.1\n[data]\ntext = [\"a, b\", \"c\"]\n",
                           {"--train.steps", "7", "--model.tie_embeddings", "false"});
  EXPECT_EQ(loaded.recipe.train.steps, 7);
  EXPECT_EQ(loaded.recipe.train.optimizer.lr, 0.1);
  EXPECT_FALSE(loaded.recipe.model.tie_embeddings);
  EXPECT_EQ(loaded.recipe.data.text, (std::vector<std::string>{"a, b", "c"}));
}

TEST(Recipe, ABooleanFlagMayStandAlone) {
  const auto flags = [](const std::vector<std::string>& words) {
    return load("", words).recipe.train.checkpoint_activations;
  };
  EXPECT_TRUE(flags({"--train.checkpoint_activations", "--train.steps", "7"}));
  EXPECT_TRUE(flags({"--train.steps", "7", "--train.checkpoint_activations"}));
  EXPECT_TRUE(flags({"--train.checkpoint_activations", "true"}));
  EXPECT_FALSE(flags({"--train.checkpoint_activations=false", "--train.steps", "7"}));
  EXPECT_FALSE(flags({"--train.checkpoint_activations", "false"}));
}

TEST(Recipe, EveryValueSaysWhereItCameFrom) {
  auto loaded = load("[train]\nsteps = 5\nlr = 0.1\n", {"--train.steps", "7"});
  const auto text = loaded.print_config();
  const auto line_of = [&](const std::string& key) {
    const auto begin = text.find(key + " = ");
    return begin == std::string::npos ? "" : text.substr(begin, text.find('\n', begin) - begin);
  };
  EXPECT_NE(line_of("train.steps").find("train.steps = 7"), std::string::npos);
  EXPECT_TRUE(line_of("train.steps").ends_with("flag"));
  EXPECT_TRUE(line_of("train.lr").ends_with("r.toml:3"));
  EXPECT_TRUE(line_of("train.beta1").ends_with("default"));
  EXPECT_EQ(loaded.to_json().at("train").at("steps"), 7);
}

TEST(Recipe, VariablesOfTheEnvironment) {
  setenv("ADDER_CLI_TEST_PLACE", "/somewhere", 1);
  const auto loaded = load("[data]\ntext = [\"${ADDER_CLI_TEST_PLACE}/a.txt\"]\n",
                           {"--train.init", "x${ADDER_CLI_TEST_PLACE}${ADDER_CLI_TEST_PLACE}y"});
  EXPECT_EQ(loaded.recipe.data.text[0], "/somewhere/a.txt");
  EXPECT_EQ(loaded.recipe.train.init, "x/somewhere/somewherey");
  EXPECT_EQ(expand_variables("$HOME ${", "here"), "$HOME ${");
  unsetenv("ADDER_CLI_TEST_PLACE");
  EXPECT_THROW(expand_variables("${ADDER_CLI_TEST_PLACE}", "here"), Error);
}

TEST(Recipe, WhatTheOverfitModeDecidesSaysSo) {
  auto loaded = load("[train]\noverfit = true\nstop.target_loss = 0.1\n", {});
  loaded.settle();
  EXPECT_EQ(loaded.origin("train.stop.metric"), "train.overfit");
  EXPECT_EQ(loaded.origin("data.val_fraction"), "train.overfit");
  EXPECT_NE(loaded.origin("train.stop.target_loss").find("r.toml:3"), std::string::npos);
  EXPECT_NE(loaded.print_config().find("train.stop.metric = train"), std::string::npos);
}

}  // namespace
}  // namespace adder::cli
