#include "adder/kernels/ref/causal_conv1d.h"

#include <vector>

#include "adder/kernels/ref/element.h"

namespace adder::kernels::ref {
namespace {

constexpr int64_t kPadding = -1;

/// One row's documents: where the document of each token starts, and what final_state is taken
/// from.
struct Documents {
  std::vector<int64_t> start;  // of each token's document; kPadding where seq_idx < 0
  int64_t end = 0;             // one past the row's last real token; 0 when there is none
  int64_t last_start = 0;      // where the row's last document starts
};

Documents documents_of(const View<2>& seq_idx, int64_t b, int64_t length) {
  Documents docs{std::vector<int64_t>(length, 0), length, 0};
  if (!seq_idx.given()) return docs;
  docs.end = 0;
  int64_t start = 0;
  for (int64_t t = 0; t < length; ++t) {
    const auto id = get<int64_t>(seq_idx, b, t);
    if (t > 0 && id != get<int64_t>(seq_idx, b, t - 1)) start = t;
    docs.start[t] = id < 0 ? kPadding : start;
    if (id >= 0) {
      docs.end = t + 1;
      docs.last_start = start;
    }
  }
  return docs;
}

/// Channel c of row b, with the initial state before it: x~[tau] is values[tau + width - 1].
template <typename T>
std::vector<T> extended_row(const Conv1dInputs& in, int64_t b, int64_t c) {
  const int64_t length = in.x.size[1], history = in.weight.size[1] - 1;
  std::vector<T> values(history + length, T(0));
  for (int64_t j = 0; j < history && in.initial_state.given(); ++j)
    values[j] = get<T>(in.initial_state, b, j, c);
  for (int64_t t = 0; t < length; ++t) values[history + t] = get<T>(in.x, b, t, c);
  return values;
}

/// Whether time tau belongs to the document that starts at `start`: times before the row belong to
/// the first.
bool in_document(int64_t tau, int64_t start) {
  return tau >= start || (tau < 0 && start == 0);
}

template <typename T>
T convolve(const Conv1dInputs& in, const std::vector<T>& row, int64_t c, int64_t t, int64_t start) {
  const int64_t width = in.weight.size[1];
  T sum = in.bias.given() ? get<T>(in.bias, c) : T(0);
  for (int64_t w = 0; w < width; ++w)
    if (in_document(t - (width - 1) + w, start)) sum += get<T>(in.weight, c, w) * row[t + w];
  return sum;
}

}  // namespace

template <typename T>
void causal_conv1d(const Conv1dInputs& in, const Conv1dOutputs& out) {
  const auto [batch, length, channels] = in.x.size;
  const int64_t history = in.weight.size[1] - 1;
  for (int64_t b = 0; b < batch; ++b) {
    const Documents docs = documents_of(in.seq_idx, b, length);
    for (int64_t c = 0; c < channels; ++c) {
      const std::vector<T> row = extended_row<T>(in, b, c);
      for (int64_t t = 0; t < length; ++t) {
        T y = 0;
        if (docs.start[t] != kPadding) {
          y = convolve(in, row, c, t, docs.start[t]);
          if (in.silu) y = silu(y);
        }
        set(out.y, y, b, t, c);
      }
      for (int64_t j = 0; j < history; ++j) {
        const int64_t tau = docs.end - history + j;
        const T value = in_document(tau, docs.last_start) ? row[tau + history] : T(0);
        set(out.final_state, value, b, j, c);
      }
    }
  }
}

template <typename T>
void causal_conv1d_backward(const Conv1dInputs& in, const Conv1dGradients& grads) {
  const auto [batch, length, channels] = in.x.size;
  const int64_t width = in.weight.size[1], history = width - 1;
  std::vector<T> grad_weight(channels * width, T(0)), grad_bias(channels, T(0));
  for (int64_t b = 0; b < batch; ++b) {
    const Documents docs = documents_of(in.seq_idx, b, length);
    for (int64_t c = 0; c < channels; ++c) {
      const std::vector<T> row = extended_row<T>(in, b, c);
      std::vector<T> grad_row(history + length, T(0));
      for (int64_t t = 0; t < length; ++t) {
        const int64_t start = docs.start[t];
        if (start == kPadding) continue;
        T g = get<T>(grads.grad_y, b, t, c);
        if (in.silu) g *= silu_slope(convolve(in, row, c, t, start));
        grad_bias[c] += g;
        for (int64_t w = 0; w < width; ++w) {
          if (!in_document(t - history + w, start)) continue;
          grad_row[t + w] += get<T>(in.weight, c, w) * g;
          grad_weight[c * width + w] += row[t + w] * g;
        }
      }
      for (int64_t j = 0; j < history && grads.grad_final_state.given(); ++j) {
        const int64_t tau = docs.end - history + j;
        if (in_document(tau, docs.last_start))
          grad_row[tau + history] += get<T>(grads.grad_final_state, b, j, c);
      }
      for (int64_t j = 0; j < history; ++j) set(grads.grad_initial_state, grad_row[j], b, j, c);
      for (int64_t t = 0; t < length; ++t) set(grads.grad_x, grad_row[history + t], b, t, c);
    }
  }
  for (int64_t c = 0; c < channels; ++c) {
    set(grads.grad_bias, grad_bias[c], c);
    for (int64_t w = 0; w < width; ++w) set(grads.grad_weight, grad_weight[c * width + w], c, w);
  }
}

template <typename T>
void causal_conv1d_update(const Conv1dUpdate& args) {
  const auto [batch, channels] = args.x.size;
  const int64_t history = args.weight.size[1] - 1;
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t slot = args.state_indices.given() ? get<int64_t>(args.state_indices, b) : b;
    for (int64_t c = 0; c < channels; ++c) {
      if (slot < 0) {
        set(args.y, T(0), b, c);
        continue;
      }
      const T x = get<T>(args.x, b, c);
      T sum = args.bias.given() ? get<T>(args.bias, c) : T(0);
      for (int64_t j = 0; j < history; ++j)
        sum += get<T>(args.weight, c, j) * get<T>(args.state, slot, j, c);
      sum += get<T>(args.weight, c, history) * x;
      for (int64_t j = 0; j < history; ++j)
        set(args.state, j + 1 < history ? get<T>(args.state, slot, j + 1, c) : x, slot, j, c);
      set(args.y, args.silu ? silu(sum) : sum, b, c);
    }
  }
}

template void causal_conv1d<float>(const Conv1dInputs&, const Conv1dOutputs&);
template void causal_conv1d<double>(const Conv1dInputs&, const Conv1dOutputs&);
template void causal_conv1d_backward<float>(const Conv1dInputs&, const Conv1dGradients&);
template void causal_conv1d_backward<double>(const Conv1dInputs&, const Conv1dGradients&);
template void causal_conv1d_update<float>(const Conv1dUpdate&);
template void causal_conv1d_update<double>(const Conv1dUpdate&);

}  // namespace adder::kernels::ref
