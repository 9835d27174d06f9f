#include "adder/io/byte_stream.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "adder/base/error.h"
#include "adder/io/descriptor.h"

namespace adder::io {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 18;
constexpr int kGzipOnly = 16;       // added to the window's size: no zlib, no raw streams
constexpr int kMaxZstdWindow = 27;  // 128 MiB: what zstd itself takes without --long

/// The file's own bytes, a buffer at a time.
class Input {
 public:
  explicit Input(const std::filesystem::path& path)
      : path_(path), file_(Descriptor::open_regular(path)), size_(file_.size()) {}

  /// Reads on when everything was taken. Empty at the end of the file.
  std::span<const std::byte> bytes() {
    if (begin_ == end_ && offset_ < size_) {
      buffer_.resize(kBufferBytes);
      begin_ = 0;
      end_ = static_cast<size_t>(std::min<int64_t>(size_ - offset_, kBufferBytes));
      file_.read_at(offset_, std::span(buffer_).first(end_));
      offset_ += static_cast<int64_t>(end_);
    }
    return std::span<const std::byte>(buffer_).subspan(begin_, end_ - begin_);
  }
  void take(size_t count) { begin_ += count; }

  int64_t size() const { return size_; }
  int64_t taken() const { return offset_ - static_cast<int64_t>(end_ - begin_); }

  [[noreturn]] void fail(const std::string& what, const std::string& why) const {
    throw Error(ErrorKind::kFormat, {.what = what,
                                     .where = path_.string() + ", byte " + std::to_string(taken()),
                                     .why = why,
                                     .next = "an incomplete download, or a file being written?"});
  }

 private:
  std::filesystem::path path_;
  Descriptor file_;
  int64_t size_;
  int64_t offset_ = 0;  // in the file, after the buffer
  std::vector<std::byte> buffer_;
  size_t begin_ = 0;  // of what is not taken yet
  size_t end_ = 0;
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual size_t read(Input& input, std::span<std::byte> out) = 0;
};

class Plain final : public Decoder {
 public:
  size_t read(Input& input, std::span<std::byte> out) override {
    const auto bytes = input.bytes();
    const size_t count = std::min(bytes.size(), out.size());
    std::copy_n(bytes.begin(), count, out.begin());
    input.take(count);
    return count;
  }
};

class Gzip final : public Decoder {
 public:
  Gzip() {
    if (inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~Gzip() override { inflateEnd(&stream_); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  size_t read(Input& input, std::span<std::byte> out) override {
    while (true) {
      const auto bytes = input.bytes();
      if (between_ && bytes.empty()) return 0;
      if (between_) inflateReset(&stream_);  // a member begins
      if (bytes.empty()) input.fail("the gzip file ends too early", "its last part is missing");
      between_ = false;
      // zlib's interface knows no const; it does not write there.
      stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
      stream_.avail_in = static_cast<uInt>(bytes.size());
      stream_.next_out = reinterpret_cast<Bytef*>(out.data());
      stream_.avail_out = static_cast<uInt>(std::min<size_t>(out.size(), kBufferBytes));
      const uInt room = stream_.avail_out;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      input.take(bytes.size() - stream_.avail_in);
      between_ = status == Z_STREAM_END;
      if (status != Z_OK && status != Z_STREAM_END) {
        const char* reason = stream_.msg != nullptr ? stream_.msg : zError(status);
        input.fail("the file is no gzip file, or is damaged", reason);
      }
      if (stream_.avail_out < room) return room - stream_.avail_out;
    }
  }

 private:
  z_stream stream_{};
  bool between_ = false;  // after one member, before the next
};

class Zstd final : public Decoder {
 public:
  Zstd() : stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kMaxZstdWindow);
  }
  ~Zstd() override { ZSTD_freeDStream(stream_); }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;

  size_t read(Input& input, std::span<std::byte> out) override {
    while (true) {
      const auto bytes = input.bytes();
      ZSTD_inBuffer from{bytes.data(), bytes.size(), 0};
      ZSTD_outBuffer to{out.data(), out.size(), 0};
      // What is inside the decoder may still fill `out` when the file has ended.
      if (bytes.empty() && status_ == 0 && !first_) return 0;
      status_ = ZSTD_decompressStream(stream_, &to, &from);
      first_ = false;
      input.take(from.pos);
      if (ZSTD_isError(status_)) {
        input.fail("the file is no zstd file, is damaged, or needs a window above 128 MiB",
                   ZSTD_getErrorName(status_));
      }
      if (to.pos > 0) return to.pos;
      if (bytes.empty() && status_ != 0) {
        input.fail("the zstd file ends too early", "its last part is missing");
      }
    }
  }

 private:
  ZSTD_DStream* stream_;
  size_t status_ = 0;  // 0: a frame is complete
  bool first_ = true;
};

std::unique_ptr<Decoder> make_decoder(Coding coding) {
  switch (coding) {
    case Coding::kGzip:
      return std::make_unique<Gzip>();
    case Coding::kZstd:
      return std::make_unique<Zstd>();
    case Coding::kPlain:
      break;
  }
  return std::make_unique<Plain>();
}

}  // namespace

struct ByteStream::State {
  Input input;
  std::unique_ptr<Decoder> decoder;
};

Coding coding_of(const std::filesystem::path& path) {
  if (path.extension() == ".gz") return Coding::kGzip;
  if (path.extension() == ".zst") return Coding::kZstd;
  return Coding::kPlain;
}

ByteStream::ByteStream(const std::filesystem::path& path)
    : state_(new State{Input(path), make_decoder(coding_of(path))}) {}
ByteStream::~ByteStream() = default;
ByteStream::ByteStream(ByteStream&&) noexcept = default;
ByteStream& ByteStream::operator=(ByteStream&&) noexcept = default;

size_t ByteStream::read(std::span<std::byte> out) {
  return state_->decoder->read(state_->input, out);
}

int64_t ByteStream::file_bytes() const {
  return state_->input.size();
}

int64_t ByteStream::file_bytes_read() const {
  return state_->input.taken();
}

}  // namespace adder::io
