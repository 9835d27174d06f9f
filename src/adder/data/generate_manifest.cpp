#include "adder/data/generate_manifest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "adder/base/error.h"
#include "adder/io/descriptor.h"
#include "adder/io/file.h"
#include "adder/io/json.h"

namespace adder::data {
namespace {

std::string line_of(const ManifestEntry& entry) {
  io::Json json = {{"list", entry.list}, {"item", entry.item},   {"template", entry.name},
                   {"seed", entry.seed}, {"model", entry.model}, {"status", entry.status}};
  if (!entry.reason.empty()) json["reason"] = entry.reason;
  if (!entry.file.empty()) json["file"] = entry.file;
  if (!entry.hash.empty()) json["xxh3_128"] = entry.hash;
  if (entry.tokens) json["tokens"] = *entry.tokens;
  return json.dump(-1, ' ', false, io::Json::error_handler_t::replace) + "\n";
}

ManifestEntry read_line(std::string_view line, const std::string& where) {
  const io::Json json = io::parse_json(line, where, {.max_bytes = 1 << 20, .max_depth = 8});
  const io::JsonView view(json, where);
  if (!json.is_object()) view.fail("an object");
  ManifestEntry entry;
  entry.list = view.at("list").as_string();
  entry.item = view.at("item").as_string();
  entry.name = view.at("template").as_string();
  entry.seed = view.at("seed").as_integer();
  entry.model = view.at("model").as_string();
  entry.status = view.at("status").as_string();
  if (entry.status != "done" && entry.status != "rejected" && entry.status != "failed") {
    view.at("status").fail("\"done\", \"rejected\" or \"failed\"");
  }
  entry.reason = view.string("reason", "");
  entry.file = view.string("file", "");
  entry.hash = view.string("xxh3_128", "");
  if (view.has("tokens")) entry.tokens = view.at("tokens").as_integer(0);
  return entry;
}

}  // namespace

ManifestEntry ManifestEntry::of(const GenerateTask& task, const std::string& model) {
  return {
      .list = task.list, .item = task.item, .name = task.name, .seed = task.seed, .model = model};
}

GenerateManifest::GenerateManifest(std::filesystem::path file) : file_(std::move(file)) {
  descriptor_ = open(file_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) io::throw_errno("cannot open the manifest", file_);
  try {
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      throw Error(ErrorKind::kIo, {.what = "another program is generating into this folder",
                                   .where = file_.string()});
    }
    constexpr int64_t kMaxBytes = int64_t{1} << 30;
    const std::string text = io::read_file(file_, kMaxBytes);
    int line = 0;
    size_t begin = 0;
    for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
      auto entry = read_line(std::string_view(text).substr(begin, end - begin),
                             fmt::format("{}:{}", file_.string(), ++line));
      entries_[entry.key()] = std::move(entry);
    }
    if (begin < text.size() && ftruncate(descriptor_, static_cast<off_t>(begin)) != 0) {
      io::throw_errno("cannot mend the manifest's last line", file_);
    }
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

GenerateManifest::~GenerateManifest() {
  close(descriptor_);
}

const ManifestEntry* GenerateManifest::find(const std::string& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

void GenerateManifest::add(const ManifestEntry& entry) {
  io::write_all(descriptor_, io::as_bytes(line_of(entry)), file_);
  if (fdatasync(descriptor_) != 0) io::throw_errno("cannot write", file_);
  entries_[entry.key()] = entry;
}

}  // namespace adder::data
