#include "adder/train/identity.h"

#include "adder/base/error.h"

namespace adder::train {

void check_identity(const io::Json& stored, const io::Json& mine,
                    const std::filesystem::path& file) {
  const auto text = [](const io::Json& identity, const std::string& key) {
    return identity.contains(key) ? identity.at(key).dump() : "not there";
  };
  const auto compare = [&](const std::string& key) {
    const std::string was = text(stored, key), is = text(mine, key);
    if (was == is) return;
    throw Error(ErrorKind::kConfig,
                {.what = "the run cannot be continued with another " + key,
                 .where = file.string(),
                 .why = "it was " + was + ", now it is " + is,
                 .next = "use the recipe and flags the run was started with (run.json has them), "
                         "or start a new run, from these weights with train.init"});
  };
  // What both have says best what is wrong.
  for (const auto& item : mine.items()) {
    if (stored.contains(item.key())) compare(item.key());
  }
  for (const auto& item : mine.items()) compare(item.key());
  for (const auto& item : stored.items()) compare(item.key());
}

}  // namespace adder::train
