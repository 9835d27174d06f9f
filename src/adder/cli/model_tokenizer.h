// The tokenizer of a model's folder.
#pragma once

#include <filesystem>
#include <memory>

#include "adder/text/tokenizer.h"

namespace adder::cli {

/// text::load_tokenizer(folder). Throws kConfig where the model was trained with another tokenizer
/// (model::read_tokenizer_hash()), naming both.
std::unique_ptr<text::Tokenizer> load_model_tokenizer(const std::filesystem::path& folder);

}  // namespace adder::cli
