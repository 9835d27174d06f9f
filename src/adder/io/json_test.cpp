#include "adder/io/json.h"

#include <chrono>
#include <cmath>

#include "adder/io/file.h"
#include "adder/io/testing.h"

namespace adder::io {
namespace {

using testing::error_of;
using testing::kind_of;
using testing::TemporaryFolder;

std::string what(const std::string& text) {
  const auto error = error_of([&] { parse_json(text, "f.json"); });
  EXPECT_TRUE(error && error->kind() == ErrorKind::kFormat) << text;
  return error ? error->text().what : "";
}

TEST(ParseJson, KeepsOrderAndAgreesWithTheLibrary) {
  const std::string text =
      R"({"z":1,"a":[true,null,-2,1.5,"é\u00e9\ud83d\ude00",{"k":{}}],"m":18446744073709551615,"e":[]})";
  const Json got = parse_json(text, "f.json");
  EXPECT_EQ(got, Json::parse(text));
  EXPECT_EQ(got.dump(), Json::parse(text).dump());
  EXPECT_EQ(parse_json("3", "f.json"), Json(3));
  EXPECT_EQ(parse_json(" [ ] \n", "f.json"), Json::array());
}

TEST(ParseJson, RefusesWhatIsNotJson) {
  for (const char* text :
       {"",        " ",         "{",           "[1,]",     "{\"a\":1,}",   "nul",
        "01",      "1.",        "\"\t\"",      "[1] x",    "NaN",          "[NaN]",
        "'a'",     "{a:1}",     "\"\\ud800\"", "\"\xff\"", "\"\xc0\x80\"", "1e999",
        "// c\n1", "1Infinity", "Infinity1",   "Infinit",  "[-Infinityx]", "--Infinity"}) {
    EXPECT_TRUE(what(text).starts_with("f.json: not valid JSON at byte"))
        << text << ": " << what(text);
  }
  EXPECT_FALSE(what(std::string("{}\0", 3)).empty());
}

TEST(ParseJson, AKeyTwiceIsRefused) {
  EXPECT_EQ(what(R"({"a":1,"b":2,"a":3})"), "f.json: the key \"a\" stands twice in one object");
  EXPECT_EQ(what(R"({"x":{"a":1,"\u0061":3}})"),
            "f.json: the key \"a\" stands twice in one object");
  EXPECT_NO_THROW(parse_json(R"({"a":{"a":1},"b":{"a":1}})", "f.json"));
}

TEST(ParseJson, DepthAndSizeAreBounded) {
  for (const std::string& open : {std::string("["), std::string("{\"a\":")}) {
    std::string bomb;
    for (int i = 0; i < 100000; ++i) bomb += open;
    EXPECT_EQ(what(bomb), "f.json: nested deeper than 128 levels");
  }
  EXPECT_NO_THROW(parse_json(std::string(128, '[') + std::string(128, ']'), "f.json"));
  EXPECT_EQ(kind_of([] { parse_json("[1234]", "f.json", {.max_bytes = 5}); }), ErrorKind::kFormat);
}

TEST(ParseJson, ALargeObjectTakesLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 200000; ++i) text += (i > 0 ? ",\"k" : "\"k") + std::to_string(i) + "\":0";
  EXPECT_EQ(parse_json(text + "}", "f.json").size(), 200000u);  // minutes, were it quadratic
}

TEST(ParseJson, InfinityAsPythonWritesIt) {
  const Json got = parse_json(
      R"({"time_step_limit": [0.0, Infinity], "Infinity": [-Infinity, "\"Infinity"]})", "f");
  EXPECT_EQ(got["time_step_limit"][1].get<double>(), INFINITY);
  EXPECT_EQ(got["Infinity"][0].get<double>(), -INFINITY);
  EXPECT_EQ(got["Infinity"][1], "\"Infinity");
  EXPECT_EQ(parse_json("[Infinity,10.0e-00000]", "f")[1].get<double>(), 10.0);
  const JsonView view(got, "f");
  EXPECT_EQ(view.at("time_step_limit").items()[1].as_number(true), INFINITY);
  EXPECT_EQ(kind_of([&] { view.at("time_step_limit").items()[1].as_number(); }),
            ErrorKind::kFormat);
  const TemporaryFolder folder;
  write_json_file(folder.path() / "a.json", got);
  EXPECT_NE(read_file(folder.path() / "a.json", 1000).find("    Infinity\n"), std::string::npos);
  EXPECT_EQ(read_json_file(folder.path() / "a.json"), got);
}

TEST(JsonFile, RoundTripAndErrorsNameTheFile) {
  const TemporaryFolder folder;
  const Json value = {{"b", 1}, {"a", {1.5, "x"}}};
  write_json_file(folder.path() / "a.json", value);
  EXPECT_EQ(read_json_file(folder.path() / "a.json"), value);
  EXPECT_EQ(read_file(folder.path() / "a.json", 100),
            "{\n  \"b\": 1,\n  \"a\": [\n    1.5,\n    \"x\"\n  ]\n}\n");
  EXPECT_EQ(kind_of([&] { read_json_file(folder.path() / "none.json"); }), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of([&] { write_json_file(folder.path() / "b.json", Json("\xff")); }),
            ErrorKind::kFormat);
  EXPECT_EQ(folder.entries(), 1);
}

class JsonViewTest : public ::testing::Test {
 protected:
  const Json document_ = parse_json(R"({"hidden_size":"64","n":64,"half":0.5,"whole":64.0,"neg":-1,
      "big":18446744073709551615,"flag":true,"none":null,"list":[1,2],"words":["a","b"],
      "rope":{"scaling":[{"x":1},{"x":"y"}]}})",
                                    "config.json");
  const JsonView root_{document_, "config.json"};

  template <typename F>
  std::string refusal(F&& action) {
    const auto error = error_of(action);
    EXPECT_TRUE(error && error->kind() == ErrorKind::kFormat);
    return error ? error->text().what : "";
  }
};

TEST_F(JsonViewTest, Values) {
  EXPECT_EQ(root_.at("n").as_positive(), 64);
  EXPECT_EQ(root_.at("neg").as_integer(), -1);
  EXPECT_EQ(root_.at("half").as_number(), 0.5);
  EXPECT_EQ(root_.at("n").as_number(), 64);
  EXPECT_TRUE(root_.at("flag").as_bool());
  EXPECT_EQ(root_.at("hidden_size").as_string(), "64");
  EXPECT_EQ(root_.at("list").as_integers(), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(root_.at("words").as_strings(), (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(root_.has("none"));
  EXPECT_FALSE(root_.has("missing"));
  EXPECT_EQ(root_.positive("none", 7), 7);
  EXPECT_EQ(root_.positive("n", 7), 64);
  EXPECT_EQ(root_.integer("neg", 7), -1);
  EXPECT_EQ(root_.number("missing", 0.25), 0.25);
  EXPECT_EQ(root_.boolean("flag", false), true);
  EXPECT_EQ(root_.string("missing", "x"), "x");
}

TEST_F(JsonViewTest, ErrorsNameFileKeyAndValue) {
  EXPECT_EQ(refusal([&] { root_.at("hidden_size").as_positive(); }),
            "config.json: hidden_size: expected a positive integer, got \"64\"");
  EXPECT_EQ(refusal([&] { root_.at("whole").as_integer(); }),
            "config.json: whole: expected an integer, got 64.0");
  EXPECT_EQ(refusal([&] { root_.at("neg").as_integer(0, 9); }),
            "config.json: neg: expected an integer from 0 to 9, got -1");
  EXPECT_EQ(refusal([&] { root_.at("big").as_integer(0); }),
            "config.json: big: expected an integer of at least 0, got 18446744073709551615");
  EXPECT_EQ(refusal([&] { root_.at("rope").at("scaling").items()[1].at("x").as_integer(); }),
            "config.json: rope.scaling[1].x: expected an integer, got \"y\"");
  EXPECT_EQ(refusal([&] { root_.at("nothing"); }), "config.json: the key \"nothing\" is missing");
  EXPECT_EQ(refusal([&] { root_.boolean("n", true); }),
            "config.json: n: expected true or false, got 64");
  EXPECT_EQ(refusal([&] { root_.number("flag", 0); }),
            "config.json: flag: expected a number, got true");
  EXPECT_EQ(refusal([&] { root_.at("n").at("x"); }), "config.json: n: expected an object, got 64");
  EXPECT_EQ(refusal([&] { root_.at("rope").items(); }),
            "config.json: rope: expected an array, got an object");
}

}  // namespace
}  // namespace adder::io
