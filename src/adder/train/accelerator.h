// The device that trains, as the loop sees it. What touches LibTorch's CUDA side is behind it, in
// libadder_train_cuda.so, which is opened when a recipe asks for a device: no CUDA header is seen
// here.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace adder::train {

/// One device and the stream on which this thread works from its making on.
class Accelerator {
 public:
  using Work = std::function<void()>;

  /// Work that was recorded. Everything it reads and writes stays where it was.
  class Graph {
   public:
    virtual ~Graph() = default;
    /// Gives the recorded work to the stream.
    virtual void replay() = 0;
  };

  virtual ~Accelerator() = default;

  virtual std::string name() const = 0;

  /// Runs `work` with temporary memory out of the pool that all graphs share. So no tensor made in
  /// it may be read after the next run() or replay().
  virtual void run(const Work& work) = 0;
  /// Records what `work` gives to the stream, without doing it. `work` may not wait for the device,
  /// and all that it uses must have been run once: libraries set themselves up then.
  virtual std::unique_ptr<Graph> record(const Work& work) = 0;

  /// The most memory that tensors held at one time, in bytes.
  virtual int64_t peak_bytes() const = 0;
};

/// The device of this name, "cpu" or "cuda". For the latter LibTorch's CUDA side is opened, before
/// any tensor is differentiated, and libadder_train_cuda.so. Throws kUnsupported where there is
/// none, with what is missing.
at::Device open_device(const std::string& name);

/// Of open_device().
std::unique_ptr<Accelerator> open_accelerator(at::Device device);

/// Why there would be none on a device that answers: what is wrong with libadder_train_cuda.so. ""
/// where it opens. After ops::load_cuda().
std::string why_no_accelerator();

/// extern "C" Accelerator* adder_make_accelerator(); of libadder_train_cuda.so
inline constexpr const char* kAcceleratorSymbol = "adder_make_accelerator";
/// extern "C" ops::DeviceProduct adder_device_product; of the same
inline constexpr const char* kDeviceProductSymbol = "adder_device_product";

}  // namespace adder::train
