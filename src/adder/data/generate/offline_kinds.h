// The writers of offline.h, one for each kind of document.
#pragma once

#include <string>
#include <utility>

#include "adder/base/rng.h"

namespace adder::data::offline {

/// A document: its title, empty where it has none, and what stands below, without a newline at its
/// end.
struct Document {
  std::string title, body;
};

Document make_word(Rng& rng);
Document make_topic(Rng& rng);
Document make_date(Rng& rng);
Document make_chat(Rng& rng);

/// A line that is said and the line that answers it.
using Exchange = std::pair<std::string, std::string>;

Exchange ask_about_word(Rng& rng);
Exchange ask_about_topic(Rng& rng);
Exchange ask_about_date(Rng& rng);

/// A question as one may begin it: "Tell me, what do foxes eat?"
std::string asked(Rng& rng, std::string question);

std::string capital(std::string text);
/// "a lantern", "an acorn"
std::string with_article(const std::string& noun);

}  // namespace adder::data::offline
