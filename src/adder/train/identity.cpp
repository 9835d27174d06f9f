#include "adder/train/identity.h"

#include "adder/base/error.h"

namespace adder::train {
namespace {

/// The options of the model beside the other keys, as "model.norm".
io::Json spread_model(io::Json identity) {
  if (!identity.contains("model") || !identity.at("model").is_object()) return identity;
  io::Json model = model_identity({});
  model.update(identity.at("model"));
  identity.erase("model");
  for (const auto& item : model.items()) identity["model." + item.key()] = item.value();
  return identity;
}

}  // namespace

io::Json model_identity(model::ModelConfig config) {
  io::Json model;
  for (const OptionEntry& entry : flatten(config)) model[entry.key] = to_text(entry.value);
  return model;
}

void check_identity(const io::Json& stored, const io::Json& mine,
                    const std::filesystem::path& file) {
  const io::Json then = spread_model(stored), now = spread_model(mine);
  const auto text = [](const io::Json& identity, const std::string& key) {
    return identity.contains(key) ? identity.at(key).dump() : "not there";
  };
  const auto compare = [&](const std::string& key) {
    const std::string was = text(then, key), is = text(now, key);
    if (was == is) return;
    throw Error(ErrorKind::kConfig,
                {.what = "the run cannot be continued with another " + key,
                 .where = file.string(),
                 .why = "it was " + was + ", now it is " + is,
                 .next = "use the recipe and flags the run was started with (run.json has them), "
                         "or start a new run, from these weights with train.init"});
  };
  // What both have says best what is wrong.
  for (const auto& item : now.items()) {
    if (then.contains(item.key())) compare(item.key());
  }
  for (const auto& item : now.items()) compare(item.key());
  for (const auto& item : then.items()) compare(item.key());
}

}  // namespace adder::train
