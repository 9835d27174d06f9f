#include "adder/data/generate/manifest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "adder/base/error.h"
#include "adder/io/descriptor.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"
#include "adder/io/json.h"

namespace adder::data {
namespace {

std::string line_of(const ManifestEntry& entry) {
  io::Json json = {{"list", entry.list},    {"item", entry.item},   {"template", entry.name},
                   {"seed", entry.seed},    {"model", entry.model}, {"request", entry.request},
                   {"status", entry.status}};
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
  entry.request = view.string("request", "");
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

ManifestEntry ManifestEntry::of(const GenerateTask& task, const LlmServer& server) {
  const std::string words = server.system + '\0' + task.prompt;
  return {.list = task.list,
          .item = task.item,
          .name = task.name,
          .seed = task.seed,
          .model = server.model,
          .request = io::hash128_hex(io::as_bytes(words))};
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
    read(io::read_file(file_, kMaxBytes));
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

void GenerateManifest::read(const std::string& text) {
  int line = 0;
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    take(read_line(std::string_view(text).substr(begin, end - begin),
                   fmt::format("{}:{}", file_.string(), ++line)));
  }
  if (begin == text.size()) return;
  std::optional<ManifestEntry> last;
  try {
    last = read_line(std::string_view(text).substr(begin), file_.string());
  } catch (const Error&) {  // half a line
    if (ftruncate(descriptor_, static_cast<off_t>(begin)) != 0) {
      io::throw_errno("cannot mend the manifest's last line", file_);
    }
    return;
  }
  io::write_all(descriptor_, io::as_bytes("\n"), file_);
  take(std::move(*last));
}

void GenerateManifest::take(ManifestEntry entry) {
  const std::string key = entry.key();
  if (!entry.hash.empty()) written_.insert(key + '\n' + entry.hash);
  entries_[key] = std::move(entry);
}

GenerateManifest::~GenerateManifest() {
  close(descriptor_);
}

const ManifestEntry* GenerateManifest::find(const std::string& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

void GenerateManifest::add(const ManifestEntry& entry) {
  const off_t before = lseek(descriptor_, 0, SEEK_END);
  if (before < 0) io::throw_errno("cannot write", file_);
  try {
    io::write_all(descriptor_, io::as_bytes(line_of(entry)), file_);
    if (fdatasync(descriptor_) != 0) io::throw_errno("cannot write", file_);
  } catch (...) {
    // No half line stays for the next one to stand behind; what cannot be cut is cut when read.
    [[maybe_unused]] const int cut = ftruncate(descriptor_, before);
    throw;
  }
  take(entry);
}

}  // namespace adder::data
