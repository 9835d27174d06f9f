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
  const auto converted = run_adder({"convert", folder / "model", folder / "own", "--to", "adder"});
  ASSERT_EQ(converted.code, 0) << converted.err;
  io::Json json = io::read_json_file(folder / "own/config.json");
  json["tokenizer_hash"] = hash;
  io::write_json_file(folder / "own/config.json", json);
  EXPECT_EQ(load_model_tokenizer(folder / "own")->kind(), "byte");
  ASSERT_EQ(run_adder({"convert", folder / "own", folder / "copy", "--to", "adder"}).code, 0);
  const auto other = text::CharTokenizer::train("abc");
  other.save(folder / "copy/tokenizer.json");
  const auto refused = run_adder({"generate", folder / "copy", "--prompt", "a"});
  EXPECT_EQ(refused.code, 2);
  for (const std::string& part : {hash, other.hash(), std::string("extend_vocab")}) {
    EXPECT_NE(refused.err.find(part), std::string::npos) << refused.err;
  }
}

}  // namespace
}  // namespace adder::cli
