#include "adder/cli/model_tokenizer.h"

#include "adder/base/error.h"
#include "adder/model/directory.h"

namespace adder::cli {

std::unique_ptr<text::Tokenizer> load_model_tokenizer(const std::filesystem::path& folder) {
  auto tokenizer = text::load_tokenizer(folder);
  const auto config = model::config_file(folder);
  const std::string trained = model::read_tokenizer_hash(config);
  if (trained.empty() || trained == tokenizer->hash()) return tokenizer;
  throw Error(
      ErrorKind::kConfig,
      {.what = "the tokenizer is not the one that the model was trained with",
       .where = text::tokenizer_file(folder).value_or(folder).string(),
       .why = "its hash is " + tokenizer->hash() + ", " + config.string() + " has " + trained,
       .next = "put the model's own tokenizer there; to give the model new words, train it "
               "further with train.extend_vocab"});
}

}  // namespace adder::cli
