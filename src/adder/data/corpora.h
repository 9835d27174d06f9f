// The texts of a recipe: which files each corpus has, and which are held out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adder/data/options.h"

namespace adder::data {

/// The files of one entry of data.text.
struct Corpus {
  std::string name = {};  // the entry
  std::vector<std::filesystem::path> files = {};
  int64_t max_documents = 0;  // the first of them that count; 0: all
};

struct Corpora {
  std::vector<Corpus> text;
  std::vector<std::filesystem::path> held_out;  // of data.val_text; never files of `text`
  std::vector<std::string> notes;               // what the user should know

  std::vector<std::filesystem::path> text_files() const;  // of all entries
  std::vector<std::filesystem::path> all_files() const;   // and what is held out
};

/// A file is known by its device and inode, however it is reached: one that is held out is not
/// trained on, and one that several entries (without weights) or one entry names twice is taken
/// once, which a note says. Throws kConfig for options that contradict each other, and where
/// data.val_text leaves nothing of an entry; and what list_inputs() throws.
Corpora list_corpora(const DataOptions& options);

/// The folder of token shards that data.text is: it has a manifest.json, and is the only entry.
/// Throws kConfig where it is one of several.
std::optional<std::filesystem::path> shard_folder(const DataOptions& options);

/// The share at the end of each text that is held out: val_fraction, or 0 where val_text or
/// val_documents says what is.
double tail_share(const DataOptions& options);

/// Whether data.val_documents holds this document out: a function of its text's first part
/// (TextPiece), so that copies of a document are never on both sides. `share` of all texts are.
bool is_held_out(std::string_view first_piece, double share);

}  // namespace adder::data
