// From text files to token shards, made once and reused: what `adder train` and `adder data encode`
// call.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "adder/base/options.h"
#include "adder/data/shards.h"
#include "adder/data/split.h"
#include "adder/text/tokenizer.h"

namespace adder::data {

struct DataOptions {
  std::vector<std::string> text;
  std::string tokenizer = "char";
  double val_fraction = 0.1;
  std::string separator;
  std::string mode = "packed";
  std::string cache;

  void describe(OptionVisitor& v) {
    v.field("text", text, "text files (UTF-8), or folders of .txt files");
    v.field(
        "tokenizer", tokenizer,
        "\"char\" (made from the text), \"byte\", or the path of a tokenizer.json or model folder");
    v.field("val_fraction", val_fraction,
            "share at the end of the text that is held out for validation; 0: none");
    v.field("separator", separator,
            "text between documents, \\n and \\t understood; empty: each file is one document");
    v.choice("mode", mode, {"packed", "docs"},
             "packed: windows run on across documents, state reset at borders; docs: one document "
             "a row, padded");
    v.field("cache", cache,
            "folder that keeps encoded text; empty: adder/tokens in the user's cache folder");
  }
};

/// What training needs to know about its text.
struct PreparedData {
  std::shared_ptr<const ShardSet> shards;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  Split split;
  bool reused = false;  // the shards were there already
  std::string note;     // what the user should know, or empty: damaged shards were made again, say
};

/// Told how far the work is: bytes of text done, and of how many.
using ProgressCallback = std::function<void(int64_t done, int64_t total)>;

/// Encodes the text into a folder of options.cache named by the hash of the text, the borders of
/// its documents and the tokenizer, or opens that folder when it is there and whole. `tokenizer`
/// given: used instead of options.tokenizer (fine-tuning: the model's own). Throws kConfig for
/// options that do not fit, and what Corpus::open(), load_tokenizer() and ShardSet::open() throw.
PreparedData prepare(const DataOptions& options, const ProgressCallback& progress = {},
                     std::shared_ptr<const text::Tokenizer> tokenizer = nullptr);

/// A tokenizer by what DataOptions::tokenizer may say; "char" is made from `documents`, with eos
/// when there are several.
std::unique_ptr<text::Tokenizer> make_tokenizer(const std::string& spec,
                                                const std::vector<std::string_view>& documents);

/// "\n", "\t", "\r" and "\\" written as two characters become one. Throws kConfig for other
/// escapes.
std::string unescape(std::string_view text);

}  // namespace adder::data
