// adder doctor: what this machine offers, and what is wrong with it.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <vector>

#include "adder/base/error.h"
#include "adder/base/version.h"
#include "adder/cli/machine.h"
#include "adder/cli/output.h"
#include "adder/cli/train_library.h"
#include "adder/cli/verbs.h"
#include "adder/kernels/cuda_kernels.h"

namespace adder::cli {
namespace {

struct Problem {
  std::string what, fix;
};

struct TorchState {
  bool found = false;
  double load_seconds = 0;
};

/// Opens libadder_train.so, LibTorch with it.
TorchState try_torch(std::vector<Problem>& problems) {
  const auto start = std::chrono::steady_clock::now();
  try {
    train_verb("train");
  } catch (const Error& error) {
    problems.push_back({"no training here: " + error.text().why, error.text().next});
    return {};
  }
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  return {true, time.count()};
}

struct DeviceState {
  std::optional<kernels::DeviceInfo> info;
  std::string missing;       // why there is none
  bool torch_opens = false;  // LibTorch's CUDA side
  double torch_seconds = 0;
  bool trains = false;  // and libadder_train_cuda.so
};

/// Opens libadder_cuda.so and, where a device answers, LibTorch's CUDA side and then
/// libadder_train_cuda.so.
DeviceState try_device(const TorchState& torch, std::vector<Problem>& problems) {
  DeviceState state;
  const kernels::CudaKernels* kernels = kernels::cuda_kernels();
  if (kernels == nullptr) {
    state.missing = kernels::cuda_kernels_missing();
    // The driver's own file: there is a device that this build, or this driver, leaves idle.
    if (std::filesystem::exists("/dev/nvidiactl")) {
      problems.push_back({"a device is here and cannot be used: " + state.missing,
                          "with the CUDA 13 toolkit (nvcc) installed run scripts/build again; with "
                          "an old driver, bring it up to date"});
    }
    return state;
  }
  kernels->device_info(0, state.info.emplace());
  if (!torch.found) return state;
  const auto start = std::chrono::steady_clock::now();
  const std::string why = why_no_torch_cuda();
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  state.torch_opens = why.empty();
  state.torch_seconds = time.count();
  if (!state.torch_opens) {
    problems.push_back({"no training on the device: " + why, "run scripts/fetch-libtorch --cuda"});
    return state;
  }
  const std::string no_library = why_no_accelerator();
  state.trains = no_library.empty();
  if (!state.trains) {
    problems.push_back({"no training on the device: " + no_library,
                        "run scripts/fetch-libtorch --cuda, then scripts/build with the CUDA "
                        "toolkit (nvcc) installed"});
  }
  return state;
}

void look_for_problems(const Machine& machine, std::vector<Problem>& problems) {
  constexpr int64_t kGiga = 1'000'000'000;
  if (machine.isa_best == "portable") {
    problems.push_back({"the processor has no AVX2: kernels run at a fraction of their speed",
                        "use a processor of 2013 or later"});
  } else if (machine.isa != machine.isa_best) {
    problems.push_back(
        {"kernels are held to " + machine.isa + " though the processor has " + machine.isa_best,
         "unset ADDER_ISA"});
  }
  if (machine.threads < machine.cores) {
    problems.push_back({fmt::format("only {} of {} cores are used", machine.threads, machine.cores),
                        "unset OMP_NUM_THREADS, or widen this process's CPU affinity"});
  }
  if (machine.memory_available > 0 && machine.memory_available < 2 * kGiga) {
    problems.push_back({"less than 2 GB of memory is free",
                        "end other programs; `adder plan` says what a recipe needs"});
  }
  if (machine.disk_available < 2 * kGiga) {
    problems.push_back({"less than 2 GB of disk is free here",
                        "free some space, or put runs elsewhere with --run"});
  }
  if (machine.open_files >= 0 && machine.open_files < 256) {
    problems.push_back(
        {fmt::format("only {} files may be open at once", machine.open_files), "ulimit -n 1024"});
  }
}

io::Json to_json(const DeviceState& device) {
  if (!device.info) return {{"found", false}, {"why", device.missing}};
  return {{"found", true},
          {"name", device.info->name},
          {"compute_capability", fmt::format("{}.{}", device.info->major, device.info->minor)},
          {"multiprocessors", device.info->multiprocessors},
          {"memory_bytes", device.info->memory_bytes},
          {"libtorch_cuda", device.torch_opens},
          {"libtorch_cuda_load_s", device.torch_seconds},
          {"trains", device.trains}};
}

std::string in_words(const DeviceState& device) {
  if (!device.info) return fmt::format("none: {}", device.missing);
  return fmt::format("{}, {}, compute capability {}.{}{}", device.info->name,
                     short_bytes(static_cast<double>(device.info->memory_bytes)),
                     device.info->major, device.info->minor,
                     device.torch_opens ? fmt::format("; LibTorch's CUDA side loads in {:.2f} s",
                                                      device.torch_seconds)
                                        : "");
}

io::Json to_json(const Machine& machine, const TorchState& torch, const DeviceState& device,
                 const std::vector<Problem>& problems) {
  io::Json list = io::Json::array();
  for (const auto& problem : problems)
    list.push_back({{"what", problem.what}, {"fix", problem.fix}});
  return {{"version", kVersion},
          {"processor", machine.processor},
          {"isa", machine.isa},
          {"isa_best", machine.isa_best},
          {"cores", machine.cores},
          {"threads", machine.threads},
          {"memory_bytes", machine.memory},
          {"memory_available_bytes", machine.memory_available},
          {"disk_available_bytes", machine.disk_available},
          {"open_files", machine.open_files},
          {"libtorch", torch.found},
          {"libtorch_load_s", torch.load_seconds},
          {"device", to_json(device)},
          {"problems", list}};
}

}  // namespace

int run_doctor(Words words) {
  bool json = false;
  Arguments args("doctor [flags]", "Says what this machine offers and what is wrong with it.",
                 {"adder doctor", "adder doctor --json"});
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  const Machine machine = look_at_machine();
  std::vector<Problem> problems;
  look_for_problems(machine, problems);
  const TorchState torch = try_torch(problems);
  const DeviceState device = try_device(torch, problems);
  if (json) {
    print_json(to_json(machine, torch, device, problems));
    return 0;
  }
  print(fmt::format("adder       {}\n", kVersion));
  print(fmt::format("processor   {}, {} cores, {} threads used\n", machine.processor, machine.cores,
                    machine.threads));
  print(fmt::format("kernels     {} (the processor has {})\n", machine.isa, machine.isa_best));
  print(fmt::format("memory      {}, {} available\n",
                    short_bytes(static_cast<double>(machine.memory)),
                    short_bytes(static_cast<double>(machine.memory_available))));
  print(fmt::format("disk        {} available here\n",
                    short_bytes(static_cast<double>(machine.disk_available))));
  print(fmt::format("open files  {}\n",
                    machine.open_files < 0 ? "no limit" : std::to_string(machine.open_files)));
  print(torch.found
            ? fmt::format("LibTorch    found, loads in {:.2f} s\n", torch.load_seconds)
            : std::string("LibTorch    not here: generate, chat, eval, data and convert work\n"));
  print("device      " + in_words(device) + "\n");
  for (const auto& problem : problems) {
    print("problem     " + problem.what + "\n  fix       " + problem.fix + "\n");
  }
  print(problems.empty() ? "no problems\n" : fmt::format("{} to look at\n", problems.size()));
  return 0;
}

}  // namespace adder::cli
