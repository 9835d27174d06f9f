#include "adder/cli/loaded_model.h"

#include <algorithm>

#include "adder/base/error.h"
#include "adder/cli/model_path.h"

namespace adder::cli {

const text::Tokenizer& LoadedModel::words(const std::string& what_for) const {
  if (tokenizer) return *tokenizer;
  throw Error(ErrorKind::kNotFound,
              {.what = "the model has no tokenizer, which " + what_for + " needs",
               .where = (folder / "tokenizer.json").string(),
               .next = "put its tokenizer.json there, or give --ids"});
}

int64_t LoadedModel::known_tokens() const {
  return tokenizer ? std::min(tokenizer->vocab_size(), model.vocab_size()) : model.vocab_size();
}

LoadedModel load_model(const std::string& name, int64_t threads) {
  if (threads < 0 || threads > 4096) {
    throw Error(ErrorKind::kUsage, {.what = "--threads must be 0 (every core) or more",
                                    .why = "got " + std::to_string(threads)});
  }
  const auto folder = find_model(name);
  auto directory = std::make_unique<model::ModelDirectory>(model::ModelDirectory::open(folder));
  std::unique_ptr<text::Tokenizer> tokenizer;
  if (std::filesystem::exists(folder / "tokenizer.json")) tokenizer = text::load_tokenizer(folder);
  auto pool = std::make_unique<ThreadPool>(default_threads(static_cast<int>(threads)));
  infer::Model model(directory->config(), directory->weights(), *pool);
  return {folder, std::move(directory), std::move(tokenizer), std::move(pool), std::move(model)};
}

}  // namespace adder::cli
