// Where an output goes, looked at before any work is done for it.
#pragma once

#include <filesystem>

namespace adder::io {

struct OutputPath {
  /// What is to be written: the end of the links when the name is a symbolic link.
  std::filesystem::path path;
  /// A character device or FIFO (or a link of /dev or /proc to an open file): its bytes go straight
  /// there, since a rename would put a plain file in its place.
  bool direct = false;
};

/// Throws kUsage for an empty name, kIo for a folder and for what is neither file, device nor FIFO,
/// and kNotFound for a missing parent folder. Opens and changes nothing.
OutputPath resolve_output_file(const std::filesystem::path& path);

/// Throws what writing a file of that name would throw at once: what resolve_output_file() throws,
/// and kIo for a parent folder that cannot be written. Verbs call it before long work.
void check_output_file(const std::filesystem::path& path);

/// The same for a folder to be made: kUsage for an empty name, kIo for anything that is there.
void check_output_folder(const std::filesystem::path& path);

/// The folder that holds `path`; "." when the path names none.
std::filesystem::path folder_of(const std::filesystem::path& path);

}  // namespace adder::io
