#include "adder/cli/loaded_model.h"

#include "adder/base/log.h"
#include "adder/cli/model_path.h"
#include "adder/cli/model_tokenizer.h"

namespace adder::cli {
namespace {

/// The folder's tokenizer, or null and the reason in `problem`. Malformed files throw.
std::unique_ptr<text::Tokenizer> tokenizer_of(const std::filesystem::path& folder,
                                              int64_t vocab_size, ErrorText& problem) {
  const auto file = text::tokenizer_file(folder);
  problem = {.where = folder.string(), .why = "there is no tokenizer.json or word_tokenizer.json"};
  if (!file) return nullptr;
  problem.where = file->string();
  try {
    auto tokenizer = load_model_tokenizer(folder);
    if (tokenizer->vocab_size() <= vocab_size) return tokenizer;
    problem.why = "it does not belong to the model: it has " +
                  std::to_string(tokenizer->vocab_size()) + " tokens, the model " +
                  std::to_string(vocab_size);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUnsupported) throw;
    problem = error.text();
    problem.why = problem.what + (problem.why.empty() ? "" : ": " + problem.why);
  }
  log_warn_once("tokenizer " + file->string(), "the model's tokenizer cannot be used (" +
                                                   problem.where + ": " + problem.why +
                                                   "); token ids work, text does not");
  return nullptr;
}

}  // namespace

const text::Tokenizer& LoadedModel::words(const std::string& what_for) const {
  if (tokenizer) return *tokenizer;
  const bool missing = !text::tokenizer_file(folder);
  throw Error(missing ? ErrorKind::kNotFound : ErrorKind::kUnsupported,
              {.what = (missing ? "the model has no tokenizer, which "
                                : "the model's tokenizer cannot be used, which ") +
                       what_for + " needs",
               .where = no_tokenizer.where,
               .why = no_tokenizer.why,
               .next = missing ? "put its tokenizer file there, or give --ids"
                               : "encode the text elsewhere and give the token ids with --ids"});
}

LoadedModel load_model(const std::string& name, int64_t threads) {
  if (threads < 0 || threads > 4096) {
    throw Error(ErrorKind::kUsage, {.what = "--threads must be 0 (every core) or more",
                                    .why = "got " + std::to_string(threads)});
  }
  const auto folder = find_model(name);
  auto directory = std::make_unique<model::ModelDirectory>(model::ModelDirectory::open(folder));
  ErrorText problem;
  auto tokenizer = tokenizer_of(folder, directory->config().vocab_size, problem);
  auto pool = std::make_unique<ThreadPool>(default_threads(static_cast<int>(threads)));
  infer::Model model(directory->config(), directory->weights(), *pool);
  return {folder,          std::move(directory), std::move(tokenizer), std::move(problem),
          std::move(pool), std::move(model)};
}

}  // namespace adder::cli
