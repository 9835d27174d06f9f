// What a recipe with train.init takes from the model that it starts from.
#pragma once

#include <memory>

#include "adder/cli/recipe.h"
#include "adder/data/corpus_reader.h"
#include "adder/text/tokenizer.h"

namespace adder::cli {

/// Puts the model directory that train.init means (find_model(): a run's best checkpoint, say) in
/// its place, and the options of that model into recipe.model. Nothing without train.init. Throws
/// kConfig, with the place, for an option of the recipe that is another in that model.
void take_starting_model(LoadedRecipe& loaded);

/// The tokenizer of train.init, after take_starting_model(), and recipe.data.tokenizer then names
/// it. With train.extend_vocab it has the text's new words too (data::extend_tokenizer()). Null
/// where the recipe's own is to be made: without train.init, or where that model has none. Throws
/// kConfig when neither has one, and when the recipe asks for another than the model's. `resumed`:
/// train.init is a checkpoint of the run itself, which holds what the recipe made.
std::shared_ptr<const text::Tokenizer> starting_tokenizer(
    LoadedRecipe& loaded, bool resumed, const data::ProgressCallback& progress = {});

}  // namespace adder::cli
