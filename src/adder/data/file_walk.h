// Files read one after another by a reader for each: what the streams of documents and of
// conversations have in common.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "adder/base/error.h"
#include "adder/data/inputs.h"

namespace adder::data {

/// `Reader` has next(Item&), place() and file_bytes_read().
template <typename Reader>
class FileWalk {
 public:
  using Open = std::function<std::unique_ptr<Reader>(const std::filesystem::path&)>;

  /// `items` names in errors what is read. Throws what files_size() throws.
  FileWalk(std::vector<std::filesystem::path> files, std::string items, Open open)
      : files_(std::move(files)),
        items_(std::move(items)),
        open_(std::move(open)),
        bytes_total_(files_size(files_)) {}

  /// The next item, or false after the last one. Throws kFormat where the files held none at all.
  template <typename Item>
  bool next(Item& item) {
    while (!reader_ || !reader_->next(item)) {
      if (reader_) bytes_done_ += reader_->file_bytes_read();
      reader_.reset();
      if (opened_ < files_.size()) {
        reader_ = open_(files_[opened_++]);
      } else if (any_) {
        return false;
      } else {
        throw_nothing();
      }
    }
    any_ = true;
    return true;
  }

  /// "FILE:LINE" of the item that next() gave last.
  std::string place() const { return reader_ ? reader_->place() : ""; }
  /// Of the files themselves: compressed ones as they are.
  int64_t bytes_read() const { return bytes_done_ + (reader_ ? reader_->file_bytes_read() : 0); }
  int64_t bytes_total() const { return bytes_total_; }

 private:
  [[noreturn]] void throw_nothing() const {
    throw Error(ErrorKind::kFormat,
                {.what = "the text holds no " + items_,
                 .where = files_.empty() ? "" : files_.front().string(),
                 .why = files_.empty() ? "no file was named" : "all of it is empty"});
  }

  std::vector<std::filesystem::path> files_;
  std::string items_;
  Open open_;
  int64_t bytes_total_;
  size_t opened_ = 0;               // files begun
  std::unique_ptr<Reader> reader_;  // of the last of them
  int64_t bytes_done_ = 0;          // of the files that are finished
  bool any_ = false;
};

}  // namespace adder::data
