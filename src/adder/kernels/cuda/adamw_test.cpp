#include "adder/kernels/adamw.h"

#include "adder/kernels/cuda/test_device.h"

namespace adder::kernels {
namespace {

using namespace testing;

struct Kind {
  int64_t count;
  DType gradient_type = DType::f32;
  bool gradient = true, copy = false;
  int64_t shift = 0;  // elements before the first, so that it is not at 16 bytes
};

/// A parameter on both sides; the arrays hold `shift` elements that are not its own.
struct Parameter {
  Kind kind;
  double decay;
  Array<1> w, g, m, v, copy;

  Parameter(const Kind& kind, double decay, Rng& rng) : kind(kind), decay(decay) {
    const int64_t size = kind.count + kind.shift;
    w = Array<1>(DType::f32, {size}).fill(rng);
    g = Array<1>(kind.gradient_type, {size}).fill(rng, 0.1);
    m = Array<1>(DType::f32, {size}).fill(rng, 0.01);
    v = Array<1>(DType::f32, {size});
    for (int64_t i = 0; i < size; ++i) set_at(v.view(), i, 1e-4 * rng.uniform());
    copy = Array<1>(DType::bf16, {size});
  }
  AdamwTensor on(OnDevice& device) const {
    const auto place = [&](const Array<1>& array) {
      const View<1> view = device(array.view());
      return view.as<char>() + kind.shift * size_of(view.dtype);
    };
    AdamwTensor t;
    t.parameter = reinterpret_cast<float*>(place(w));
    t.mean = reinterpret_cast<float*>(place(m));
    t.square = reinterpret_cast<float*>(place(v));
    if (kind.gradient) t.gradient = place(g);
    if (kind.copy) t.copy = place(copy);
    t.count = kind.count;
    t.gradient_dtype = kind.gradient_type;
    t.decay = static_cast<float>(decay);
    return t;
  }
  double gradient(int64_t i) const { return kind.gradient ? value_at(g.view(), i) : 0; }
};

/// A plain AdamW in double.
struct Exact {
  std::vector<double> w, m, v;
  double largest = 0;  // of the steps, which may cancel the parameter

  explicit Exact(const Parameter& p) {
    for (int64_t i = 0; i < count_of(p.w.view()); ++i) {
      w.push_back(value_at(p.w.view(), i));
      m.push_back(value_at(p.m.view(), i));
      v.push_back(value_at(p.v.view(), i));
    }
  }
  void step(const Parameter& p, const AdamwTensors& all, const AdamwStep& step, double norm) {
    const double clip = step.clip > 0 && norm > step.clip ? step.clip / norm : 1;
    for (auto i = static_cast<size_t>(p.kind.shift); i < w.size(); ++i) {
      const double g = clip * p.gradient(static_cast<int64_t>(i));
      m[i] = all.beta1 * m[i] + (1 - all.beta1) * g;
      v[i] = all.beta2 * v[i] + (1 - all.beta2) * g * g;
      const double change =
          step.lr * (m[i] / step.bias1) / (std::sqrt(v[i] / step.bias2) + all.eps);
      w[i] -= step.lr * p.decay * w[i] + change;
      largest = std::max(largest, std::abs(change));
    }
  }
};

double norm_of(const std::vector<Parameter>& parameters) {
  double sum = 0;
  for (const Parameter& p : parameters)
    for (int64_t i = p.kind.shift; i < p.kind.shift + p.kind.count; ++i)
      sum += p.gradient(i) * p.gradient(i);
  return std::sqrt(sum);
}

std::vector<Parameter> model_of(const std::vector<Kind>& kinds) {
  Rng rng(3);
  std::vector<Parameter> parameters;
  for (const Kind& kind : kinds) parameters.emplace_back(kind, kind.count % 2 ? 0.1 : 0, rng);
  return parameters;
}

/// Device memory of one value.
template <typename T>
class OnDeviceValue {
 public:
  explicit OnDeviceValue(const T& value) : memory_(sizeof(T)) { set(value); }
  void set(const T& value) const {
    check(cudaMemcpy(memory_.data(), &value, sizeof(T), cudaMemcpyHostToDevice));
  }
  T get() const {
    T value;
    check(cudaMemcpy(&value, memory_.data(), sizeof(T), cudaMemcpyDeviceToHost));
    return value;
  }
  T* data() const { return static_cast<T*>(memory_.data()); }

 private:
  DeviceMemory memory_;
};

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

AdamwStep step_of(int t, double clip) {
  return {.lr = 1e-2 / t,
          .bias1 = 1 - std::pow(0.9, t),
          .bias2 = 1 - std::pow(0.95, t),
          .clip = clip,
          .loss_limit = kNoLimit};
}

/// Runs `steps` steps on the device, then brings everything back into `parameters`.
std::vector<AdamwReport> train(const std::vector<Parameter>& parameters,
                               const std::vector<AdamwStep>& steps, double loss = 2) {
  OnDevice device;
  const TestWork work;
  std::vector<AdamwTensor> tensors;
  for (const Parameter& p : parameters) tensors.push_back(p.on(device));
  const OnDeviceValue<AdamwStep> step({});
  const OnDeviceValue<AdamwReport> report({.loss = loss});
  AdamwTensors all{.tensors = tensors.data(), .count = static_cast<int64_t>(tensors.size())};
  all.step = step.data();
  all.report = report.data();
  std::vector<AdamwReport> reports;
  for (const AdamwStep& values : steps) {
    step.set(values);
    EXPECT_EQ(cuda::gradient_norm(all, work), nullptr);
    EXPECT_EQ(cuda::adamw(all, work), nullptr);
    reports.push_back(report.get());
  }
  device.fetch();
  return reports;
}

void expect_right(const std::vector<Kind>& kinds, double clip) {
  const std::vector<Parameter> parameters = model_of(kinds);
  std::vector<Exact> exact(parameters.begin(), parameters.end());
  std::vector<AdamwStep> steps;
  for (int t = 1; t <= 3; ++t) steps.push_back(step_of(t, clip));
  const double norm = norm_of(parameters);
  for (const AdamwReport& report : train(parameters, steps)) {
    EXPECT_NEAR(report.norm / norm, 1, 1e-12);
    EXPECT_EQ(report.applied, 1);
    EXPECT_EQ(report.loss, 2);
  }
  for (size_t k = 0; k < parameters.size(); ++k) {
    const Parameter& p = parameters[k];
    for (const AdamwStep& step : steps) exact[k].step(p, {}, step, norm);
    const auto error = [&](const Array<1>& got, std::vector<double>& want, double floor = 1e-30) {
      return error_of(got.view(), dense<1>(want.data(), DType::f64, p.w.view().size), floor);
    };
    EXPECT_LT(error(p.w, exact[k].w, exact[k].largest), 1e-6) << "parameter " << k;
    EXPECT_LT(error(p.m, exact[k].m), 1e-6) << "parameter " << k;
    EXPECT_LT(error(p.v, exact[k].v), 1e-6) << "parameter " << k;
    for (int64_t i = p.kind.shift; p.kind.copy && i < p.kind.shift + p.kind.count; ++i) {
      Array<1> rounded(DType::bf16, {1});
      set_at(rounded.view(), 0, value_at(p.w.view(), i));
      ASSERT_EQ(value_at(p.copy.view(), i), value_at(rounded.view(), 0)) << k << " at " << i;
    }
  }
}

TEST(CudaAdamw, MatchesAPlainAdamwInDouble) {
  ADDER_NEEDS_DEVICE();
  const std::vector<Kind> kinds = {
      {.count = 70001},
      {.count = 1},
      {.count = 16384, .copy = true},
      {.count = 40000, .gradient_type = DType::bf16, .copy = true},
      {.count = 1003, .gradient_type = DType::bf16, .shift = 1},
      {.count = 1003, .copy = true, .shift = 3},
      {.count = 0},
      {.count = 5000, .gradient = false},
      {.count = 16387, .gradient_type = DType::bf16, .gradient = false, .copy = true},
  };
  expect_right(kinds, 0);
  expect_right(kinds, 1);    // the norm is far above
  expect_right(kinds, 1e6);  // and far below
}

TEST(CudaAdamw, MoreTensorsThanOneLaunchTakes) {
  ADDER_NEEDS_DEVICE();
  std::vector<Kind> kinds;
  for (int64_t k = 0; k < 1100; ++k) kinds.push_back({.count = k % 7});
  kinds.push_back({.count = 20000});
  expect_right(kinds, 1);
}

/// Loss or norm not finite, or the loss above its limit: nothing changes, and the report says so.
TEST(CudaAdamw, LeavesBadStepsOut) {
  ADDER_NEEDS_DEVICE();
  const auto untouched = [](double loss, double limit, double gradient) {
    const std::vector<Parameter> parameters = model_of({{.count = 20000, .copy = true}, {7}});
    const std::vector<Parameter> before = parameters;
    set_at(parameters[0].g.view(), 17001, gradient);
    AdamwStep step = step_of(1, 1);
    step.loss_limit = limit;
    const AdamwReport report = train(parameters, {step}, loss)[0];
    bool same = report.applied == 0;
    for (size_t k = 0; k < before.size(); ++k)
      same = same && parameters[k].w.same_bytes(before[k].w) &&
             parameters[k].m.same_bytes(before[k].m) && parameters[k].v.same_bytes(before[k].v) &&
             parameters[k].copy.same_bytes(before[k].copy);
    return same;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(untouched(2, kNoLimit, 0));
  EXPECT_FALSE(untouched(2, 2, 1e30));  // its square is beyond f32, the norm is not
  EXPECT_TRUE(untouched(2, 1.99, 0));
  EXPECT_TRUE(untouched(nan, kNoLimit, 0));
  EXPECT_TRUE(untouched(kNoLimit, kNoLimit, 0));
  EXPECT_TRUE(untouched(2, kNoLimit, nan));
  EXPECT_TRUE(untouched(2, kNoLimit, kNoLimit));
}

TEST(CudaAdamw, TheSameBitsAgain) {
  ADDER_NEEDS_DEVICE();
  const std::vector<Parameter> one = model_of({{.count = 300001}, {.count = 5000}}), two = one;
  const std::vector<AdamwStep> steps = {step_of(1, 1), step_of(2, 1)};
  EXPECT_EQ(train(one, steps)[1].norm, train(two, steps)[1].norm);
  EXPECT_TRUE(one[0].w.same_bytes(two[0].w) && one[1].w.same_bytes(two[1].w));
}

/// A stream of its own, and memory that was there before the capture.
class CaptureWork final : public DeviceWork {
 public:
  CaptureWork() : memory_(1 << 20) { check(cudaStreamCreate(&stream_)); }
  ~CaptureWork() override { cudaStreamDestroy(stream_); }
  void* stream() const override { return stream_; }
  void* take(int64_t bytes) const override {
    EXPECT_LE(bytes, memory_.bytes());
    return memory_.data();
  }
  cudaStream_t get() const { return stream_; }

 private:
  DeviceMemory memory_;
  cudaStream_t stream_ = nullptr;
};

/// A captured step replays with what is in device memory then, to the bit.
TEST(CudaAdamw, ReplaysFromAGraph) {
  ADDER_NEEDS_DEVICE();
  const std::vector<Parameter> replayed = model_of({{.count = 30001}, {.count = 600}}),
                               plain = replayed;
  const std::vector<AdamwStep> steps = {step_of(1, 1), step_of(2, 0), step_of(3, 0.5)};
  {
    OnDevice device;
    const CaptureWork work;
    std::vector<AdamwTensor> tensors = {replayed[0].on(device), replayed[1].on(device)};
    const OnDeviceValue<AdamwStep> step({});
    const OnDeviceValue<AdamwReport> report({.loss = 2});
    const AdamwTensors all{
        .tensors = tensors.data(), .count = 2, .step = step.data(), .report = report.data()};
    cudaGraph_t graph;
    cudaGraphExec_t replay;
    check(cudaStreamBeginCapture(work.get(), cudaStreamCaptureModeGlobal));
    EXPECT_EQ(cuda::gradient_norm(all, work), nullptr);
    EXPECT_EQ(cuda::adamw(all, work), nullptr);
    check(cudaStreamEndCapture(work.get(), &graph));
    check(cudaGraphInstantiate(&replay, graph, 0));
    tensors.assign(2, {});  // the table was captured by value
    for (const AdamwStep& values : steps) {
      step.set(values);
      check(cudaGraphLaunch(replay, work.get()));
      check(cudaStreamSynchronize(work.get()));
    }
    cudaGraphExecDestroy(replay);
    cudaGraphDestroy(graph);
    device.fetch();
  }
  train(plain, steps);
  for (const int k : {0, 1}) EXPECT_TRUE(replayed[k].w.same_bytes(plain[k].w)) << k;
}

}  // namespace
}  // namespace adder::kernels
