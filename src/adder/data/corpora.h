// The texts of a recipe: which files each corpus has, and which are held out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "adder/data/options.h"

namespace adder::data {

/// The files of one entry of data.text.
struct Corpus {
  std::string name;  // the entry
  std::vector<std::filesystem::path> files;
};

struct Corpora {
  std::vector<Corpus> text;
  std::vector<std::filesystem::path> held_out;  // of data.val_text; never files of `text`

  std::vector<std::filesystem::path> text_files() const;  // of all entries
  std::vector<std::filesystem::path> all_files() const;   // and what is held out
};

/// Throws kConfig for options that contradict each other, and where data.val_text leaves nothing of
/// an entry; and what list_inputs() throws.
Corpora list_corpora(const DataOptions& options);

/// Whether data.val_documents holds this document out: a function of its text's first part
/// (TextPiece), so that copies of a document are never on both sides. `share` of all texts are.
bool is_held_out(std::string_view first_piece, double share);

}  // namespace adder::data
