#include "adder/train/measure_steps.h"

#include <c10/core/CachingDeviceAllocator.h>

#include <chrono>
#include <limits>

#include "adder/base/rng.h"
#include "adder/nn/language_model.h"
#include "adder/train/device_step.h"
#include "adder/train/task.h"

namespace adder::train {
namespace {

constexpr int64_t kWarmUp = 4;  // two steps call by call, the recording, and one replay

/// Next tokens of random rows.
class RandomTokens final : public Task {
 public:
  RandomTokens(const model::ModelConfig& config, const StepShape& shape)
      : shape_(shape), model_(config, 1, {}, nullptr, {at::kCUDA, /*narrow=*/true}) {
    data::Array tokens = data::Array::zeros(DType::i32, {shape.batch, shape.length});
    data::Array targets = data::Array::zeros(DType::i64, {shape.batch, shape.length});
    Rng rng(1);
    const auto vocab = static_cast<uint64_t>(config.vocab_size);
    for (int32_t& token : tokens.as<int32_t>())
      token = static_cast<int32_t>(static_cast<uint64_t>(rng.uniform() * double(vocab)));
    for (int64_t& target : targets.as<int64_t>())
      target = static_cast<int64_t>(rng.uniform() * double(vocab));
    batch_.emplace("tokens", std::move(tokens));
    batch_.emplace("targets", std::move(targets));
  }

  nn::Parameters& parameters() override { return model_.trained(); }
  data::Batch next() override { return batch_; }
  io::Json cursor() const override { return {}; }
  void seek(const io::Json&) override {}
  io::Json identity() const override { return io::Json::object(); }
  int64_t count(const data::Batch&) const override { return shape_.batch * shape_.length; }
  at::Tensor loss_sum(const TensorBatch& batch, nn::Context& context) override {
    return model_.loss(model_.forward(batch.at("tokens"), context), batch.at("targets")).nll_sum;
  }
  bool holds_out() const override { return false; }
  std::map<std::string, double> evaluate(int64_t, nn::Context&) override { return {}; }
  std::string sample(uint64_t) override { return ""; }
  void save(const std::string&) const override {}
  void load(const std::string&) override {}

 private:
  StepShape shape_;
  nn::LanguageModel model_;
  data::Batch batch_;
};

}  // namespace

StepMeasure measure_steps(const model::ModelConfig& config, const StepShape& shape, int64_t steps,
                          Accelerator& accelerator) {
  using Clock = std::chrono::steady_clock;
  c10::DeviceAllocator* memory = c10::getDeviceAllocator(at::kCUDA);
  StepMeasure result;
  {
    RandomTokens task(config, shape);
    memory->emptyCache();
    memory->resetPeakStats(0);  // what is held now counts
    AdamW optimizer(task.parameters(), OptimizerOptions());
    nn::Context context;
    context.compute = at::kBFloat16;
    DeviceStep step(task, optimizer, accelerator, context);
    std::vector<data::Batch> batches = {task.next()};
    auto before = Clock::now();
    for (int64_t i = 0; i < kWarmUp + steps; ++i) {
      step.launch(batches, task.count(batches[0]),
                  optimizer.next(1e-4, std::numeric_limits<double>::infinity()));
      batches = {task.next()};
      step.wait();
      const auto now = Clock::now();
      if (i >= kWarmUp)
        result.seconds.push_back(std::chrono::duration<double>(now - before).count());
      before = now;
    }
    result.peak_bytes = accelerator.peak_bytes();
  }
  memory->emptyCache();
  return result;
}

}  // namespace adder::train
