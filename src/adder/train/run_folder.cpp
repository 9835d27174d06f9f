#include "adder/train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <map>
#include <thread>

#include "adder/base/error.h"
#include "adder/base/version.h"
#include "adder/io/file.h"

namespace adder::train {

namespace {

/// "2026-01-31T12:00:00Z"
std::string time_now() {
  char text[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

/// The settings in `config` by their dotted keys.
void collect(const io::Json& config, const std::string& prefix,
             std::map<std::string, io::Json>& settings) {
  if (!config.is_object()) return;
  for (const auto& [name, value] : config.items()) {
    if (value.is_object()) {
      collect(value, prefix + name + ".", settings);
    } else {
      settings[prefix + name] = value;
    }
  }
}

/// What the task's identity speaks for, whatever it is called in the recipe.
bool of_identity(const std::string& key) {
  return key.starts_with("model.") || key == "data.tokenizer" || key == "train.init";
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& run_folder) {
  io::make_directories(run_folder);
  const std::filesystem::path file = run_folder / ".lock";
  descriptor_ = ::open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    throw Error(ErrorKind::kIo, {.what = "cannot lock the run's folder",
                                 .where = file.string(),
                                 .why = std::strerror(errno)});
  }
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    ::close(descriptor_);
    throw Error(ErrorKind::kUsage, {.what = "another process is training in this folder",
                                    .where = run_folder.string(),
                                    .next = "wait for it, or choose another folder with --run"});
  }
}

RunLock::~RunLock() {
  ::close(descriptor_);
}

void write_run_json(const std::filesystem::path& run_folder, const io::Json& description) {
  utsname system{};
  ::uname(&system);
  io::Json json = {{"adder", kVersion},
                   {"host",
                    {{"name", system.nodename},
                     {"system", system.sysname},
                     {"machine", system.machine},
                     {"cores", std::thread::hardware_concurrency()}}},
                   {"started", time_now()}};
  json.update(description);
  io::write_json_file(run_folder / "run.json", json);
}

std::vector<std::string> record_resume(const std::filesystem::path& run_folder, int64_t step,
                                       const io::Json& description) {
  const auto file = run_folder / "run.json";
  if (!std::filesystem::exists(file) || !description.contains("config")) return {};
  io::Json json;
  try {
    json = io::read_json_file(file);
  } catch (const Error& error) {  // what the run needs stands in its checkpoints
    return {std::string("what is changed is not recorded\n") + error.what()};
  }
  if (!json.is_object()) return {};
  std::map<std::string, io::Json> before, now;
  if (json.contains("config")) collect(json.at("config"), "", before);
  io::Json& resumed = json["resumed"];
  if (!resumed.is_array()) resumed = io::Json::array();
  for (const io::Json& one : resumed) {
    const auto changed = one.find("changed");  // end() where `one` is no object
    if (changed == one.end() || !changed->is_object()) continue;
    for (const auto& [key, value] : changed->items()) before[key] = value;
  }
  collect(description.at("config"), "", now);
  std::vector<std::string> lines;
  io::Json changed = io::Json::object();
  for (const auto& [key, value] : now) {
    const auto was = before.find(key);
    if (of_identity(key) || was == before.end() || was->second == value) continue;
    changed[key] = value;
    lines.push_back(key + " was " + was->second.dump() + ", is " + value.dump() + " from step " +
                    std::to_string(step + 1) + " on");
  }
  resumed.push_back(
      {{"step", step}, {"adder", kVersion}, {"started", time_now()}, {"changed", changed}});
  io::write_json_file(file, json);
  return lines;
}

}  // namespace adder::train
