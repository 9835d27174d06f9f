// Scalars for TensorBoard: records of TFRecord framing (length, masked CRC-32C, protobuf Event) in
// a file named events.out.tfevents.*. The few protobuf fields are written by hand
// (tensorflow/core/util/event.proto, summary.proto).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace adder::io {

/// Appends to one new event file in a run directory. Not thread-safe.
class EventWriter {
 public:
  /// Creates `directory` when missing, and a new file in it.
  explicit EventWriter(const std::filesystem::path& directory);
  ~EventWriter();
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;

  /// `wall_time` in seconds since 1970; < 0: now.
  void scalar(std::string_view tag, int64_t step, float value, double wall_time = -1);
  /// Hands buffered records to the system; done on its own every 64 KiB and by the destructor.
  /// Throws kIo.
  void flush();

  const std::filesystem::path& path() const { return path_; }

 private:
  void record(std::string_view event);

  std::filesystem::path path_;
  std::string buffer_;
  int fd_ = -1;
};

}  // namespace adder::io
