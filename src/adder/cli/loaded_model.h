// A model opened for reading tokens, with all it needs.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "adder/base/thread_pool.h"
#include "adder/infer/model.h"
#include "adder/model/directory.h"
#include "adder/text/tokenizer.h"

namespace adder::cli {

struct LoadedModel {
  std::filesystem::path folder;
  std::unique_ptr<model::ModelDirectory> directory;  // keeps its address: the model borrows
  std::unique_ptr<text::Tokenizer> tokenizer;        // null: the directory holds none
  std::unique_ptr<ThreadPool> pool;
  infer::Model model;

  /// The tokenizer; throws kNotFound when there is none, saying what for.
  const text::Tokenizer& words(const std::string& what_for) const;
  /// Ids that have text: the smaller of the model's rows and the tokenizer's tokens.
  int64_t known_tokens() const;
};

/// `name`: see find_model(). `threads` 0: every core.
LoadedModel load_model(const std::string& name, int64_t threads);

}  // namespace adder::cli
