#include "adder/io/tensorboard.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstring>

#include "adder/io/crc32c.h"
#include "adder/io/descriptor.h"
#include "adder/io/file.h"

namespace adder::io {
namespace {

constexpr std::size_t kBufferBytes = 64 << 10;
std::atomic<int> file_count{0};

template <typename T>
void put_fixed(std::string& out, T value) {
  std::array<char, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &value, sizeof(T));
  out.append(bytes.data(), bytes.size());
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_key(std::string& out, uint32_t field, WireType type) {
  put_varint(out, field << 3 | type);
}

void put_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

std::string begin_event(double wall_time) {
  std::string event;
  put_key(event, 1, kFixed64);  // Event.wall_time
  put_fixed(event, wall_time);
  return event;
}

// TFRecord: a checksum is rotated and shifted, so that one over data that holds checksums stays
// good.
uint32_t masked(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

double now() {
  const auto time = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

}  // namespace

EventWriter::EventWriter(const std::filesystem::path& directory) {
  make_directories(directory);
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '-';
  const double time = now();
  path_ = directory /
          ("events.out.tfevents." + std::to_string(static_cast<int64_t>(time)) + "." + host.data() +
           "." + std::to_string(getpid()) + "." + std::to_string(file_count.fetch_add(1)));
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) throw_errno("cannot create the event file", path_);
  std::string event = begin_event(time);
  put_bytes(event, 3, "brain.Event:2");  // Event.file_version
  record(event);
}

EventWriter::~EventWriter() {
  try {
    flush();
  } catch (...) {  // a destructor has no way to tell; flush() before tells
  }
  close(fd_);
}

void EventWriter::scalar(std::string_view tag, int64_t step, float value, double wall_time) {
  std::string entry;
  put_bytes(entry, 1, tag);     // Summary.Value.tag
  put_key(entry, 2, kFixed32);  // Summary.Value.simple_value
  put_fixed(entry, value);
  std::string summary;
  put_bytes(summary, 1, entry);  // Summary.value
  std::string event = begin_event(wall_time < 0 ? now() : wall_time);
  put_key(event, 2, kVarint);  // Event.step
  put_varint(event, static_cast<uint64_t>(step));
  put_bytes(event, 5, summary);  // Event.summary
  record(event);
}

void EventWriter::record(std::string_view event) {
  std::string length;
  put_fixed(length, static_cast<uint64_t>(event.size()));
  buffer_ += length;
  put_fixed(buffer_, masked(length));
  buffer_ += event;
  put_fixed(buffer_, masked(event));
  if (buffer_.size() >= kBufferBytes) flush();
}

void EventWriter::flush() {
  if (buffer_.empty()) return;
  write_all(fd_, as_bytes(buffer_), path_);
  buffer_.clear();
}

}  // namespace adder::io
