#include "adder/cli/model_tokenizer.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"
#include "adder/cli/test_program.h"
#include "adder/io/json.h"
#include "adder/text/byte_tokenizer.h"
#include "adder/text/char_tokenizer.h"

namespace adder::cli {
namespace {

TEST(ModelTokenizer, AnotherThanTheModelWasTrainedWithIsRefused) {
  const TestFolder folder;
  make_model(folder / "model");
  const std::string hash = text::ByteTokenizer().hash();
  EXPECT_EQ(load_model_tokenizer(folder / "model")->kind(), "byte");  // nothing says which it was
  io::Json json = io::read_json_file(folder / "model/config.json");
  json["tokenizer_hash"] = hash;
  io::write_json_file(folder / "model/config.json", json);
  EXPECT_EQ(load_model_tokenizer(folder / "model")->kind(), "byte");
  for (const std::string layout : {"adder", "hf"}) {
    const std::string copy = folder / layout;
    const auto converted = run_adder({"convert", folder / "model", copy, "--to", layout});
    ASSERT_EQ(converted.code, 0) << converted.err;
    EXPECT_EQ(load_model_tokenizer(copy)->kind(), "byte");
    const auto other = text::CharTokenizer::train("abc");
    other.save(copy + "/tokenizer.json");
    const auto refused = run_adder({"generate", copy, "--prompt", "a"});
    EXPECT_EQ(refused.code, 2) << layout;
    for (const std::string& part : {hash, other.hash(), std::string("extend_vocab")}) {
      EXPECT_NE(refused.err.find(part), std::string::npos) << refused.err;
    }
  }
}

TEST(ModelTokenizer, OfARunIsThatOfItsCheckpoint) {
  const TestFolder folder;
  make_model(folder / "run/checkpoints/step-00000007");
  folder.put("run/checkpoints/latest", "step-00000007\n");
  const auto text = folder.put("text.txt", "abc");
  const auto done = run_adder({"data", "encode", "--tokenizer", folder / "run", "--text", text,
                               "--out", folder / "ids.npy", "--json"});
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.json().at("tokens"), 3);
}

}  // namespace
}  // namespace adder::cli
