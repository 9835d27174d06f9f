// A model opened for reading tokens, with all it needs.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "adder/base/error.h"
#include "adder/base/thread_pool.h"
#include "adder/infer/model.h"
#include "adder/model/directory.h"
#include "adder/text/tokenizer.h"

namespace adder::cli {

struct LoadedModel {
  std::filesystem::path folder;
  std::unique_ptr<model::ModelDirectory> directory;  // keeps its address: the model borrows
  std::unique_ptr<text::Tokenizer> tokenizer;        // null: none, or none that can be used
  ErrorText no_tokenizer;                            // why it is null
  std::unique_ptr<ThreadPool> pool;
  infer::Model model;

  /// The tokenizer; throws kNotFound or kUnsupported when it is null, saying what for and why.
  const text::Tokenizer& words(const std::string& what_for) const;
};

/// `name`: see find_model(). `threads` 0: every core. A tokenizer of a kind that Adder does not
/// know, or of another model, is left out with a warning: token ids work without it.
LoadedModel load_model(const std::string& name, int64_t threads);

}  // namespace adder::cli
