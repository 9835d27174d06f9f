// How a word vocabulary is made from text: the group [data.word] of a recipe.
#pragma once

#include <cstdint>
#include <string>

#include "adder/base/options.h"

namespace adder::text {

struct WordOptions {
  int64_t min_count = 1;
  int64_t max_vocab = 0;
  std::string order = "count";
  std::string space = "explicit";
  bool fold_case = false;

  void describe(OptionVisitor& v) {
    v.field("min_count", min_count,
            "words seen less often get no token of their own: they are spelled");
    v.field(
        "max_vocab", max_vocab,
        "tokens in all: control tokens and characters, then the words seen most often; 0: every "
        "word. An extended vocabulary keeps its tokens and gets the new characters even beyond it");
    v.choice(
        "order", order, {"count", "appearance"},
        "ids of words: those seen most often first (the order of files does not matter), or as "
        "they first appear");
    v.choice("space", space, {"explicit", "implicit"},
             "explicit: a marker stands where spacing is not the usual, so that every text comes "
             "back exactly; implicit: no markers, text comes back with the usual spacing");
    v.field("fold_case", fold_case,
            "one token for \"Word\", \"WORD\" and \"word\", with a marker before the first two");
  }
};

}  // namespace adder::text
