#include "adder/nn/operators.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

namespace adder::nn {

namespace {

/// An operator of the registry by name, looked up once.
template <typename Signature>
c10::TypedOperatorHandle<Signature> find(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

}  // namespace

std::tuple<Tensor, Tensor> causal_conv1d(const Tensor& x, const Tensor& weight,
                                         const OptionalTensor& bias,
                                         const OptionalTensor& initial_state,
                                         const OptionalTensor& seq_idx, bool silu) {
  using Op =
      std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const OptionalTensor&,
                                 const OptionalTensor&, const OptionalTensor&, c10::string_view);
  static const auto op = find<Op>("adder::causal_conv1d");
  return op.call(x, weight, bias, initial_state, seq_idx, silu ? "silu" : "none");
}

std::tuple<Tensor, Tensor> ssd(const Tensor& x, const Tensor& dt, const Tensor& A, const Tensor& B,
                               const Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                               const OptionalTensor& dt_bias, const SsdOptions& options,
                               const OptionalTensor& initial_state, const OptionalTensor& seq_idx) {
  using Op = std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                        const Tensor&, const OptionalTensor&, const OptionalTensor&,
                                        const OptionalTensor&, bool, double, double, int64_t,
                                        const OptionalTensor&, const OptionalTensor&);
  static const auto op = find<Op>("adder::ssd");
  return op.call(x, dt, A, B, C, D, z, dt_bias, options.dt_softplus, options.dt_min, options.dt_max,
                 options.chunk_size, initial_state, seq_idx);
}

std::tuple<Tensor, Tensor> selective_scan(const Tensor& u, const Tensor& delta, const Tensor& A,
                                          const Tensor& B, const Tensor& C, const OptionalTensor& D,
                                          const OptionalTensor& z, const OptionalTensor& delta_bias,
                                          bool delta_softplus, const OptionalTensor& initial_state,
                                          const OptionalTensor& seq_idx) {
  using Op = std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                        const Tensor&, const OptionalTensor&, const OptionalTensor&,
                                        const OptionalTensor&, bool, const OptionalTensor&,
                                        const OptionalTensor&);
  static const auto op = find<Op>("adder::selective_scan");
  return op.call(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, seq_idx);
}

std::tuple<Tensor, Tensor> word_ssm(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const Tensor& decay, const Tensor& weight,
                                    const OptionalTensor& bias, const OptionalTensor& initial_state,
                                    const OptionalTensor& seq_idx) {
  using Op = std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                        const Tensor&, const OptionalTensor&, const OptionalTensor&,
                                        const OptionalTensor&);
  static const auto op = find<Op>("adder::word_ssm");
  return op.call(q, k, v, decay, weight, bias, initial_state, seq_idx);
}

std::tuple<Tensor, Tensor> rms_norm(const Tensor& x, const Tensor& weight, double eps,
                                    const OptionalTensor& residual, bool residual_in_fp32) {
  using Op =
      std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, double, const OptionalTensor&, bool);
  static const auto op = find<Op>("adder::rms_norm");
  return op.call(x, weight, eps, residual, residual_in_fp32);
}

Tensor gated_rms_norm(const Tensor& x, const Tensor& weight, const OptionalTensor& z, double eps,
                      int64_t group_size, bool norm_before_gate) {
  using Op = Tensor(const Tensor&, const Tensor&, const OptionalTensor&, double, int64_t, bool);
  static const auto op = find<Op>("adder::gated_rms_norm");
  return op.call(x, weight, z, eps, group_size, norm_before_gate);
}

Tensor embedding(const Tensor& weight, const Tensor& tokens, at::ScalarType dtype) {
  using Op = Tensor(const Tensor&, const Tensor&, at::ScalarType);
  static const auto op = find<Op>("adder::embedding");
  return op.call(weight, tokens, dtype);
}

Tensor swiglu(const Tensor& up, const Tensor& gate) {
  using Op = Tensor(const Tensor&, const Tensor&);
  static const auto op = find<Op>("adder::swiglu");
  return op.call(up, gate);
}

Tensor rotary(const Tensor& x, const Tensor& position, int64_t dim, double base, bool interleaved) {
  using Op = Tensor(const Tensor&, const Tensor&, int64_t, double, bool);
  static const auto op = find<Op>("adder::rotary");
  return op.call(x, position, dim, base, interleaved);
}

Tensor gated_rms_norm_linear(const Tensor& x, const Tensor& weight, const OptionalTensor& z,
                             double eps, int64_t group_size, bool norm_before_gate,
                             const Tensor& matrix, const OptionalTensor& bias) {
  using Op = Tensor(const Tensor&, const Tensor&, const OptionalTensor&, double, int64_t, bool,
                    const Tensor&, const OptionalTensor&);
  static const auto op = find<Op>("adder::gated_rms_norm_linear");
  const auto type = x.scalar_type();
  return op.call(x, weight, z, eps, group_size, norm_before_gate, matrix.to(type),
                 bias ? OptionalTensor(bias->to(type)) : std::nullopt);
}

std::tuple<Tensor, Tensor> linear_cross_entropy(const Tensor& x, const Tensor& weight,
                                                const OptionalTensor& bias, const Tensor& target,
                                                double z_loss, double label_smoothing,
                                                const char* reduction) {
  using Op =
      std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const OptionalTensor&, const Tensor&,
                                 int64_t, double, double, double, c10::string_view);
  static const auto op = find<Op>("adder::linear_cross_entropy");
  const auto type = x.scalar_type();
  // A device takes a wide weight as it is: its gradient is a sum in f32.
  const Tensor taken = x.is_cpu() ? weight.to(type) : weight;
  return op.call(x, taken, bias ? OptionalTensor(bias->to(type)) : std::nullopt, target, -100,
                 z_loss, label_smoothing, 0.0, reduction);
}

Tensor project(const Tensor& x, const Tensor& weight, const OptionalTensor& bias) {
  using Op = Tensor(const Tensor&, const Tensor&, const OptionalTensor&);
  static const auto op = find<Op>("adder::linear");
  const auto type = x.scalar_type();
  return op.call(x, weight.to(type), bias ? OptionalTensor(bias->to(type)) : std::nullopt);
}

}  // namespace adder::nn
