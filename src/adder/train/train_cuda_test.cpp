// Training on a device: recorded steps against steps call by call, against the CPU, resumed, and
// with everything in between that a run does. Without a device: "skipped: no device".
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "adder/data/generate/offline.h"
#include "adder/io/file.h"
#include "adder/model/mamba2_spec.h"
#include "adder/ops/product.h"
#include "adder/ops/test_open_device.h"
#include "adder/train/accelerator.h"
#include "adder/train/device_step.h"
#include "adder/train/metrics.h"
#include "adder/train/next_token.h"
#include "adder/train/opening_device.h"
#include "adder/train/stop_signals.h"
#include "adder/train/test_line_task.h"
#include "adder/train/trainer.h"

namespace adder::train {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

class TrainCudaTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!ops::OpenDevice::found) GTEST_SKIP() << "skipped: no device: " << ops::OpenDevice::why;
    folder_ = fs::temp_directory_path() / ("adder-train-cuda-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    io::make_directories(folder_);
    std::string text;
    data::generate_stories(1, 40000, [&](std::string_view story) { text += story; });
    io::write_file_atomic(folder_ / "stories.txt", text);
    recipe_.data.text = {(folder_ / "stories.txt").string()};
    recipe_.data.separator = "\\n\\n";
    recipe_.data.cache = (folder_ / "cache").string();
    recipe_.model.d_model = 64;
    recipe_.model.n_layer = 2;
    mamba2().d_state = 64;
    mamba2().head_dim = 64;
    recipe_.train.device = "cuda";
    recipe_.train.compute = "bf16";
    recipe_.train.batch_size = 2;
    recipe_.train.length = 80;
    recipe_.train.steps = 12;
    recipe_.train.schedule.warmup_steps = 5;
    recipe_.train.optimizer.lr = 5e-3;
    recipe_.train.sample_tokens = 20;
    recipe_.train.eval_windows = 2;
    recipe_.train.log_every = 1;
  }
  void TearDown() override { fs::remove_all(folder_); }

  model::Mamba2Spec& mamba2() {
    return static_cast<model::Mamba2Spec&>(recipe_.model.mixers.at("mamba2"));
  }

  TrainResult run(const std::string& name, int64_t stop_at = 0, bool resume = false) const {
    NextTokenTask task(recipe_, data::prepare(recipe_.data));
    TrainListener listener;
    listener.on_step = [&](const StepReport& report) {
      if (report.step == stop_at) raise(SIGTERM);
    };
    install_stop_signals();
    reset_stop_request();
    const TrainResult result =
        train(task, recipe_.train, folder_ / name, resume, io::Json::object(), listener);
    reset_stop_request();
    return result;
  }

  static std::string bytes(const TrainResult& result, const char* file) {
    return io::read_file(result.checkpoint / file, 1 << 26);
  }
  std::vector<double> losses(const std::string& name) const {
    std::vector<double> losses;
    for (const auto& step : read_metrics(folder_ / name / "metrics.jsonl").steps)
      losses.push_back(step.loss);
    return losses;
  }
  static void expect_equal(const TrainResult& a, const TrainResult& b) {
    for (const char* file : {"model.safetensors", "optimizer.safetensors", "trainer.json"})
      EXPECT_EQ(bytes(a, file), bytes(b, file)) << file;
  }

  /// Losses, norms and final weights of steps that are recorded or not.
  std::pair<std::vector<double>, std::vector<at::Tensor>> steps(bool record) const {
    NextTokenTask task(recipe_, data::prepare(recipe_.data));
    const auto accelerator = open_accelerator(open_device("cuda"));
    AdamW optimizer(task.parameters(), recipe_.train.optimizer);
    nn::Context context;
    context.compute = recipe_.train.compute == "bf16" ? at::kBFloat16 : at::kFloat;
    context.checkpoint = recipe_.train.checkpoint_activations;
    DeviceStep step(task, optimizer, *accelerator, context, record);
    std::vector<double> seen;
    for (int64_t i = 0; i < 8; ++i) {
      std::vector<data::Batch> passes;
      int64_t count = 0;
      for (int64_t pass = 0; pass < recipe_.train.accumulation; ++pass) {
        passes.push_back(task.next());
        count += task.count(passes.back());
      }
      step.launch(passes, count, optimizer.next(5e-3, INFINITY));
      const kernels::AdamwReport report = step.wait();
      EXPECT_EQ(report.applied, 1);
      seen.insert(seen.end(), {report.loss, report.norm});
    }
    std::vector<at::Tensor> weights;
    for (const at::Tensor& tensor : task.parameters().tensors())
      weights.push_back(tensor.detach().cpu());
    return {seen, weights};
  }
  void expect_recorded_equals_eager() const {
    const auto [eager_losses, eager] = steps(false);
    const auto [losses, recorded] = steps(true);
    EXPECT_EQ(losses, eager_losses);
    for (size_t i = 0; i < eager.size(); ++i) EXPECT_TRUE(at::equal(eager[i], recorded[i])) << i;
    EXPECT_LT(losses[14], losses[0]);
  }

  fs::path folder_;
  Recipe recipe_;
};

TEST_F(TrainCudaTest, RecordedStepsEqualStepsCallByCallBitForBit) {
  expect_recorded_equals_eager();
}

TEST_F(TrainCudaTest, AlsoWithAccumulationPaddingAndRecomputation) {
  recipe_.train.accumulation = 2;
  recipe_.train.checkpoint_activations = true;
  recipe_.data.mode = "docs";
  expect_recorded_equals_eager();
}

TEST_F(TrainCudaTest, RecomputationChangesNothing) {
  const auto plain = steps(true);
  recipe_.train.checkpoint_activations = true;
  EXPECT_EQ(steps(true).first, plain.first);
}

TEST_F(TrainCudaTest, TheLossIsThatOfTheCpuToRounding) {
  for (const auto& [compute, tolerance] : {std::pair("f32", 2e-4), std::pair("bf16", 2e-2)}) {
    recipe_.train.compute = compute;
    recipe_.train.device = "cuda";
    run(std::string("device-") + compute);
    recipe_.train.device = "cpu";
    run(std::string("cpu-") + compute);
    const auto device = losses(std::string("device-") + compute);
    const auto cpu = losses(std::string("cpu-") + compute);
    ASSERT_EQ(device.size(), cpu.size());
    for (size_t i = 0; i < cpu.size(); ++i)
      EXPECT_NEAR(device[i], cpu[i], tolerance * cpu[i]) << compute << ", step " << i + 1;
  }
}

/// The widths of mamba2-130m, for which there are other kernels, and the start of `adder train`.
TEST_F(TrainCudaTest, AWideModelLearnsAsOnTheCpu) {
  recipe_.model.d_model = 768;
  mamba2().d_state = 128;
  recipe_.train.length = 300;
  recipe_.train.steps = 6;
  recipe_.train.optimizer.lr = 1e-3;
  OpeningDevice opening("cuda");
  opening.wait();
  EXPECT_EQ(run("device").left_out, 0);
  recipe_.train.device = "cpu";
  recipe_.train.compute = "f32";
  run("cpu");
  const auto device = losses("device"), cpu = losses("cpu");
  ASSERT_EQ(device.size(), cpu.size());
  for (size_t i = 0; i < cpu.size(); ++i)
    EXPECT_NEAR(device[i], cpu[i], 2e-2 * cpu[i]) << "step " << i + 1;
  EXPECT_LT(device.back(), device.front() - 0.1);
}

TEST_F(TrainCudaTest, TwoRunsAndAResumedOneAreEqualToTheByte) {
  const TrainResult straight = run("straight");
  expect_equal(straight, run("again"));
  ASSERT_TRUE(run("halves", 5).interrupted);
  expect_equal(straight, run("halves", 0, /*resume=*/true));
  EXPECT_EQ(losses("halves"), losses("straight"));
  EXPECT_GT(read_metrics(folder_ / "again" / "metrics.jsonl").steps.back().device_mb, 0);
  EXPECT_FALSE(straight.device.empty());
}

TEST_F(TrainCudaTest, EvaluationsSamplesAndSavesBetweenStepsChangeNothing) {
  const TrainResult plain = run("plain");
  recipe_.train.eval_every = 2;
  recipe_.train.save_every = 3;
  recipe_.train.sample_every = 4;
  EXPECT_EQ(bytes(run("busy"), "model.safetensors"), bytes(plain, "model.safetensors"));
  EXPECT_EQ(losses("busy"), losses("plain"));
}

TEST_F(TrainCudaTest, BadStepsAndSpikesAreLeftOutAsOnTheCpu) {
  TrainOptions options;
  options.steps = 180;
  options.optimizer.lr = 0.05;
  options.log_every = 1;
  options.guard.on_spike = "skip";
  std::vector<std::vector<StepMetrics>> seen;
  std::vector<int64_t> left_out;
  for (const char* device : {"cpu", "cuda"}) {
    LineTask task(open_device(device));
    task.poison = {10, 170};
    options.device = device;
    const TrainResult result =
        train(task, options, folder_ / device, false, {{"config", "test"}}, {});
    left_out.push_back(result.left_out);
    seen.push_back(read_metrics(folder_ / device / "metrics.jsonl").steps);
  }
  EXPECT_EQ(left_out, (std::vector<int64_t>{2, 2}));
  ASSERT_EQ(seen[0].size(), seen[1].size());
  for (size_t i = 0; i < seen[0].size(); ++i) {
    EXPECT_EQ(seen[0][i].skipped, seen[1][i].skipped) << "step " << i + 1;
    if (!seen[0][i].skipped) {
      EXPECT_NEAR(seen[0][i].loss, seen[1][i].loss, 1e-3 + 1e-3 * seen[0][i].loss);
    }
  }
}

class TunedProductsOnDevice : public testing::Test {
 protected:
  void SetUp() override {
    if (!ops::OpenDevice::found) GTEST_SKIP() << "skipped: no device: " << ops::OpenDevice::why;
    accelerator_ = open_accelerator(at::kCUDA);  // it offers them
  }

  static Tensor random(at::IntArrayRef sizes, at::ScalarType type = at::kBFloat16) {
    return at::randn(sizes, at::TensorOptions().device(at::kCUDA)).to(type);
  }
  /// Against the product in f32 of the same operands, with one rounding of the result.
  static void expect_product(const Tensor& out, const Tensor& a, const Tensor& b,
                             const Tensor& before = {}) {
    Tensor want = at::matmul(a.to(at::kDouble), b.to(at::kDouble));
    if (before.defined()) want += before;
    const double error = ((out - want).norm() / want.norm()).item<double>();
    EXPECT_LT(error, out.scalar_type() == at::kFloat ? 1e-5 : 2.5e-3);
  }

  std::unique_ptr<Accelerator> accelerator_;
};

TEST_F(TunedProductsOnDevice, AreProductsWhateverTheLayout) {
  constexpr int64_t kRows = 2048, kInner = 1536, kColumns = 2056;
  for (const bool a_by_rows : {true, false}) {
    for (const bool b_by_rows : {true, false}) {
      for (const auto type : {at::kBFloat16, at::kFloat}) {
        const Tensor a = a_by_rows ? random({kRows, kInner}) : random({kInner, kRows}).t();
        const Tensor b = b_by_rows ? random({kInner, kColumns}) : random({kColumns, kInner}).t();
        const Tensor whole = random({kRows, kColumns + 8}, type);  // of which a part is written
        const Tensor out = whole.narrow(1, 0, kColumns), rest = whole.narrow(1, kColumns, 8);
        const Tensor untouched = rest.clone();
        ops::set_product(out, a, b);
        expect_product(out, a, b);
        const Tensor first = out.clone();
        ops::set_product(out, a, b);
        EXPECT_TRUE(at::equal(out, first));
        EXPECT_TRUE(at::equal(rest, untouched));
      }
    }
  }
}

TEST_F(TunedProductsOnDevice, AddOncePerCall) {
  const Tensor a = random({2048, 3072}), b = random({3072, 1032});
  const Tensor out = random({2048, 1032}, at::kFloat), before = out.to(at::kDouble);
  ops::set_product(out, a, b, /*add=*/true);  // tries kernels
  expect_product(out, a, b, before);
  const Tensor once = out.to(at::kDouble);
  ops::set_product(out, a, b, /*add=*/true);
  expect_product(out, a, b, once);
}

TEST_F(TunedProductsOnDevice, LeaveTheOthersToLibTorch) {
  const Tensor small = random({8, 24}), odd = random({1501, 2047});
  const Tensor of_small = random({8, 8}), of_odd = random({1501, 1501});
  ops::set_product(of_small, small, small.t());
  expect_product(of_small, small, small.t());
  ops::set_product(of_odd, odd, odd.t());
  expect_product(of_odd, odd, odd.t());
}

}  // namespace
}  // namespace adder::train
