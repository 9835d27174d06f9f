// What a recipe says about its text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "adder/base/options.h"
#include "adder/text/word_options.h"

namespace adder::data {

struct DataOptions {
  std::vector<std::string> text;
  std::vector<double> weights;
  std::string tokenizer = "char";
  int64_t vocab_size = 4096;
  text::WordOptions word;
  double val_fraction = 0.1;
  std::vector<std::string> val_text;
  double val_documents = 0;
  std::string separator;
  std::string field = "text";
  std::string chat_template;
  int64_t max_documents = 0;
  std::string mode = "packed";
  int64_t stride = 0;
  std::string cache;

  void describe(OptionVisitor& v) {
    v.field("text", text,
            "text files (UTF-8): .txt, .jsonl, .gz and .zst of both, folders of such files, "
            "patterns (*.txt); or one folder that `adder data shard` wrote, used as it is");
    v.field("weights", weights,
            "mixture: the share of training windows from each entry of text; empty: all texts one "
            "after another");
    v.field("tokenizer", tokenizer,
            "\"char\", \"bpe\" or \"word\" (made from the text), \"byte\", or the path of a "
            "tokenizer.json or model folder");
    v.field("vocab_size", vocab_size, "tokens that \"bpe\" learns");
    v.group("word", word);
    v.field(
        "val_fraction", val_fraction,
        "share at the end of each entry of text that is held out for validation, by its tokens, "
        "inside a document if need be; 0: none; not looked at where val_text or val_documents "
        "says what is held out");
    v.field("val_text", val_text,
            "texts held out for validation, as `text`; left out of it where they are in it: the "
            "files, and documents that begin the same (1 MiB)");
    v.field("val_documents", val_documents,
            "share of whole documents, chosen by their content, held out for validation: each by "
            "chance, so of few documents more or fewer");
    v.field("separator", separator,
            "text between documents of plain text, \\n and \\t understood; empty: each file is one "
            "document");
    v.field("field", field, "member of a jsonl line that holds the text");
    v.field("chat_template", chat_template,
            "conversations in jsonl are learnt, answers only: \"chatml\", \"plain\", \"llama2\", "
            "\"llama3\", or the path of a template or model folder; empty: plain texts");
    v.field("max_documents", max_documents,
            "documents of each entry of text that are read, the first in the order of the files; "
            "fewer make a smaller vocabulary; 0: all");
    v.choice("mode", mode, {"packed", "docs"},
             "packed: windows run on across documents, state reset at borders; docs: one document "
             "a row, padded");
    v.field("stride", stride,
            "tokens from one training window to the next: below train.length they overlap, and a "
            "token is learnt from several; 0: train.length");
    v.field("cache", cache,
            "folder that keeps encoded text; empty: adder/tokens in the user's cache folder");
  }
};

}  // namespace adder::data
