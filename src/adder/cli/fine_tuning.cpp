#include "adder/cli/fine_tuning.h"

#include "adder/base/error.h"
#include "adder/cli/model_path.h"
#include "adder/cli/model_tokenizer.h"
#include "adder/data/make_tokenizer.h"
#include "adder/model/directory.h"

namespace adder::cli {
namespace {

constexpr const char* kTokenizer = "data.tokenizer";

/// "data.tokenizer = bpe, flag"
std::string place_of(const LoadedRecipe& loaded, const std::string& key, const std::string& value) {
  return key + " = " + value + ", " + loaded.origin(key);
}

[[noreturn]] void refuse_tokenizer(const LoadedRecipe& loaded, const std::string& why,
                                   const std::string& next) {
  const std::string& given = loaded.recipe.data.tokenizer;
  const bool said = !loaded.origin(kTokenizer).empty();
  throw Error(ErrorKind::kConfig, {.what = "the tokenizer of a model that is trained further",
                                   .where = said ? place_of(loaded, kTokenizer, given) : kTokenizer,
                                   .why = why,
                                   .next = next});
}

/// The model's tokenizer with the text's new words.
std::shared_ptr<const text::Tokenizer> extended(const LoadedRecipe& loaded,
                                                const text::Tokenizer& tokenizer,
                                                const data::ProgressCallback& progress) {
  const auto* words = dynamic_cast<const text::WordTokenizer*>(&tokenizer);
  if (words != nullptr) return data::extend_tokenizer(*words, loaded.recipe.data, progress);
  refuse_tokenizer(loaded,
                   "words are added to a vocabulary of words only, and the model's tokenizer is of "
                   "the kind \"" +
                       tokenizer.kind() + "\"",
                   "leave train.extend_vocab out");
}

}  // namespace

void take_starting_model(LoadedRecipe& loaded) {
  train::Recipe& recipe = loaded.recipe;
  if (recipe.train.init.empty()) return;
  const auto folder = find_model(recipe.train.init);
  model::ModelConfig config = model::read_config(model::config_file(folder));
  const auto wanted = flatten(recipe.model);
  const auto found = flatten(config);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const std::string key = "model." + wanted[i].key;
    const std::string mine = to_text(wanted[i].value), theirs = to_text(found[i].value);
    if (loaded.origin(key).empty() || mine == theirs) continue;
    throw Error(ErrorKind::kConfig, {.what = "the model that training starts from is another",
                                     .where = place_of(loaded, key, mine),
                                     .why = folder.string() + " has " + theirs,
                                     .next = "leave " + key + " out, or train.init"});
  }
  recipe.train.init = folder.string();
  recipe.model = std::move(config);
}

std::shared_ptr<const text::Tokenizer> starting_tokenizer(LoadedRecipe& loaded, bool resumed,
                                                          const data::ProgressCallback& progress) {
  train::Recipe& recipe = loaded.recipe;
  const std::string& init = recipe.train.init;
  if (init.empty()) return nullptr;
  const bool said = !loaded.origin(kTokenizer).empty();
  if (!text::tokenizer_file(init)) {
    if (said) return nullptr;
    refuse_tokenizer(loaded, "the model has none: " + init,
                     "put its tokenizer file there, or name the tokenizer with data.tokenizer");
  }
  std::shared_ptr<const text::Tokenizer> tokenizer = load_model_tokenizer(init);
  const bool learnt = data::learnt_from_text(recipe.data.tokenizer);
  const bool extend = recipe.train.extend_vocab;
  // What the run learnt when it began, or what the model's own is extended with.
  const bool made = (resumed && learnt) || (extend && recipe.data.tokenizer == "word");
  if (said && !made && (learnt || data::make_tokenizer(recipe.data)->hash() != tokenizer->hash())) {
    refuse_tokenizer(loaded, "the model has its own, which is another: " + init,
                     tokenizer->kind() == "word"
                         ? "leave data.tokenizer out; train.extend_vocab = true adds the text's "
                           "new words to the model's own"
                         : "leave data.tokenizer out");
  }
  recipe.data.tokenizer = init;
  if (extend) return extended(loaded, *tokenizer, progress);
  return tokenizer;
}

}  // namespace adder::cli
