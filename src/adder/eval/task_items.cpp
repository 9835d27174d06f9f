#include "adder/eval/task_items.h"

#include "adder/base/error.h"
#include "adder/io/json.h"

namespace adder::eval {
namespace {

constexpr io::JsonLimits kLineLimits = {.max_bytes = int64_t{16} << 20, .max_depth = 32};
constexpr size_t kMostChoices = 4096;

ChoiceItem choice_item(const io::JsonView& view, std::string context, std::string delimiter) {
  ChoiceItem item{std::move(context), view.at("choices").as_strings(), 0, std::move(delimiter)};
  if (item.choices.size() < 2 || item.choices.size() > kMostChoices) {
    view.at("choices").fail("2 to " + std::to_string(kMostChoices) + " texts");
  }
  item.gold = view.at("gold").as_integer(0, static_cast<int64_t>(item.choices.size()) - 1);
  for (const std::string& choice : item.choices) {
    if (choice.empty()) view.at("choices").fail("texts that are not empty");
  }
  return item;
}

}  // namespace

TaskItem parse_item(std::string_view line, const std::string& where) {
  const io::Json json = io::parse_json(line, where, kLineLimits);
  const io::JsonView view(json, where);
  if (!json.is_object()) view.fail("an object");
  const bool query = !view.has("context") && view.has("query");
  std::string context = view.at(query ? "query" : "context").as_string();
  std::string delimiter = view.string("delimiter", " ");
  if (view.has("choices")) return choice_item(view, std::move(context), std::move(delimiter));
  if (!view.has("target")) view.fail("\"choices\" and \"gold\", or \"target\"");
  ClozeItem item{std::move(context), view.at("target").as_string(), std::move(delimiter)};
  if (item.target.empty()) view.at("target").fail("a text that is not empty");
  return item;
}

TaskFile::TaskFile(const std::filesystem::path& path) : file_(path) {}

bool TaskFile::next(TaskItem& item) {
  file_.check_size();
  const std::string_view all(reinterpret_cast<const char*>(file_.bytes().data()),
                             file_.bytes().size());
  while (offset_ < all.size()) {
    const size_t end = std::min(all.find('\n', offset_), all.size());
    const std::string_view line = all.substr(offset_, end - offset_);
    offset_ = std::min(end + 1, all.size());
    ++line_;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    item = parse_item(line, where());
    return true;
  }
  return false;
}

std::string TaskFile::where() const {
  return file_.path().string() + ":" + std::to_string(line_);
}

}  // namespace adder::eval
