// Text documents out of files.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adder/io/file.h"

namespace adder::data {

/// Text files, mapped (small ones read), checked and cut into documents. Line ends are kept as they
/// are.
class Corpus {
 public:
  /// `paths`: files, or folders whose *.txt files are taken (recursively, in bytewise order of
  /// their relative paths). `separator` empty: each file is one document; else files are cut at
  /// each occurrence of it, the separator is dropped and empty documents are left out. Throws
  /// kNotFound, and kFormat for an empty file, a binary one (NUL bytes), or invalid UTF-8, with the
  /// file and the byte offset.
  static Corpus open(const std::vector<std::filesystem::path>& paths,
                     std::string_view separator = {});

  /// Views into the files: they live as long as the corpus.
  const std::vector<std::string_view>& documents() const { return documents_; }
  int64_t bytes() const;  // of all documents

  /// 32 hex digits over the documents and their borders.
  std::string hash() const;

 private:
  std::vector<io::MappedFile> files_;  // large ones: each holds a file descriptor
  std::deque<std::string> texts_;      // the content of small ones
  std::vector<std::string_view> documents_;
};

/// The text files that `paths` name: files as they are, folders searched as Corpus::open() says.
std::vector<std::filesystem::path> list_text_files(const std::vector<std::filesystem::path>& paths);

/// Throws kFormat unless `text` is valid UTF-8 without NUL bytes and not empty; `name` begins the
/// error.
void check_text(std::string_view text, const std::string& name);

/// Appends the documents of `text` (see Corpus::open) to `documents`.
void cut_documents(std::string_view text, std::string_view separator,
                   std::vector<std::string_view>& documents);

}  // namespace adder::data
