// The smallest task there is, and a trainer around it: for tests of the loop.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "adder/base/error.h"
#include "adder/base/rng.h"
#include "adder/io/file.h"
#include "adder/io/safetensors.h"
#include "adder/train/tensors.h"
#include "adder/train/trainer.h"

namespace adder::train {

/// Least squares on noisy pairs; the batch of a chosen number is poisoned.
class LineTask final : public Task {
 public:
  explicit LineTask(at::Device device = at::kCPU)
      : parameters_({{"w", {8}, {model::Init::Kind::kNormal, 1.0}, true, false}}, 3, nullptr,
                    {device}) {}

  nn::Parameters& parameters() override { return parameters_; }
  data::Batch next() override {
    data::Array x = data::Array::zeros(DType::f32, {4, 8});
    data::Array y = data::Array::zeros(DType::f32, {4});
    Rng rng(11, static_cast<uint64_t>(index_));
    for (float& value : x.as<float>()) value = static_cast<float>(rng.normal());
    for (size_t row = 0; row < 4; ++row) {
      const auto values = x.as<float>().subspan(8 * row, 8);
      y.as<float>()[row] =
          std::accumulate(values.begin(), values.end(), static_cast<float>(0.1 * rng.normal()));
    }
    if (poison.contains(index_)) y.as<float>()[2] = poison_value;
    ++index_;
    data::Batch batch;
    batch.emplace("x", std::move(x));
    batch.emplace("y", std::move(y));
    return batch;
  }
  io::Json cursor() const override { return index_; }
  void seek(const io::Json& cursor) override { index_ = cursor.get<int64_t>(); }
  double epochs() const override { return static_cast<double>(index_) / 40; }
  int64_t count(const data::Batch&) const override { return 4; }
  at::Tensor loss_sum(const TensorBatch& batch, nn::Context&) override {
    const at::Tensor x = batch.at("x"), y = batch.at("y");
    return (at::matmul(x, parameters_.at("w")) - y).square().sum();
  }
  bool holds_out() const override { return !nothing_held_out; }
  std::map<std::string, double> evaluate(int64_t, nn::Context&) override {
    if (nothing_held_out) return {};
    if (!held_out.empty()) return {{"loss", held_out.at(evaluations_++)}};
    return {{"loss", (parameters_.at("w").detach() - 1).square().sum().item<double>()}};
  }
  std::string sample(uint64_t) override {
    if (bad_sample) throw Error(ErrorKind::kNumeric, {.what = "the logits are not numbers"});
    return "";
  }
  void save(const std::string& folder) const override {
    const at::Tensor w = parameters_.at("w").detach().cpu();
    io::write_safetensors(
        std::filesystem::path(folder) / "model.safetensors",
        {{"w", DType::f32, {8}, {static_cast<const std::byte*>(w.const_data_ptr()), 32}}});
  }
  void load(const std::string& folder) override {
    const auto file =
        io::SafetensorsFile::open(std::filesystem::path(folder) / "model.safetensors");
    auto* bytes = const_cast<std::byte*>(file.tensor("w").bytes.data());
    parameters_.at("w").data().copy_(at::from_blob(bytes, {8}, at::kFloat));
  }
  io::Json identity() const override { return identity_of; }

  io::Json identity_of = {{"kind", "line"}};
  std::vector<double> held_out = {};  // losses to pretend, one an evaluation
  bool nothing_held_out = false;
  bool bad_sample = false;
  std::set<int64_t> poison;
  float poison_value = std::numeric_limits<float>::quiet_NaN();

 private:
  nn::Parameters parameters_;
  int64_t index_ = 0;
  size_t evaluations_ = 0;
};

class TrainerTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / ("adder-trainer-" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    options_.steps = 60;
    options_.optimizer.lr = 0.05;
    options_.schedule.warmup_steps = 5;
    options_.log_every = 1;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  TrainResult run(LineTask& task, const std::string& name, bool resume = false) {
    TrainListener listener;
    listener.on_note = [this](const std::string& note) { notes_ += note + "\n"; };
    listener.on_step = [this](const StepReport& report) {
      if (on_step_) on_step_(report);
    };
    return train(task, options_, folder_ / name, resume, description_, listener);
  }

  std::string weights(const TrainResult& result) const {
    return io::read_file(result.checkpoint / "model.safetensors", 1 << 20);
  }

  std::filesystem::path folder_;
  TrainOptions options_;
  io::Json description_ = {{"config", "test"}};
  std::string notes_;
  std::function<void(const StepReport&)> on_step_;
};

}  // namespace adder::train
