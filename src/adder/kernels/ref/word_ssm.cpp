// With G_t[n,i] the gradient of S_t[n,i], backwards in time:
//
//   G_t  = decay G_t+1 + q_t dR_t          dq_t[n] = sum_i dR_t S_t        dk_t[n] = sum_i G_t v_t
//   dv_t = sum_n k_t G_t                   d decay[n] = sum over t, i of G_t S_t-1
//
// and what reaches S_t-1 is decay G_t, or nothing where token t begins a document.
#include "adder/kernels/ref/word_ssm.h"

#include <vector>

#include "adder/kernels/ref/element.h"

namespace adder::kernels::ref {
namespace {

bool is_padding(const WordSsmInputs& in, int64_t b, int64_t t) {
  return in.seq_idx.given() && get<int64_t>(in.seq_idx, b, t) < 0;
}

/// Whether the state is dropped before real token t. Never at t = 0: the initial state belongs to
/// its document.
bool begins_document(const WordSsmInputs& in, int64_t b, int64_t t) {
  return in.seq_idx.given() && t > 0 &&
         get<int64_t>(in.seq_idx, b, t) != get<int64_t>(in.seq_idx, b, t - 1);
}

/// One element of the state, of batch row b, column n and place i.
struct Element {
  int64_t b, n, i;
};

template <typename T>
T first_state(const WordSsmInputs& in, const Element& e) {
  return in.initial_state.given() ? get<T>(in.initial_state, e.b, e.n, e.i) : T(0);
}

/// What token t makes of the state before it.
template <typename T>
T next_state(const WordSsmInputs& in, const Element& e, int64_t t, T before) {
  if (is_padding(in, e.b, t)) return before;
  const T kept = begins_document(in, e.b, t) ? T(0) : get<T>(in.decay, e.n) * before;
  return kept + get<T>(in.k, e.b, t, e.n) * get<T>(in.v, e.b, t, e.i);
}

/// What token t reads of its state.
template <typename T>
T read(const WordSsmInputs& in, const Element& e, int64_t t, T state) {
  return is_padding(in, e.b, t) ? T(0) : get<T>(in.q, e.b, t, e.n) * state;
}

/// Sums over the elements of the state.
template <typename T>
struct Sums {
  std::vector<T> q, k;   // (batch, length, columns)
  std::vector<T> v;      // (batch, length, width)
  std::vector<T> decay;  // (columns)
};

template <typename T>
void backward_element(const WordSsmInputs& in, const WordSsmGradients& grads, const Element& e,
                      Sums<T>& sums) {
  const auto [batch, length, columns] = in.q.size;
  const int64_t width = in.v.size[2];
  std::vector<T> states = {first_state<T>(in, e)};  // before token t
  for (int64_t t = 0; t < length; ++t) {
    states.push_back(next_state(in, e, t, states[t]));
    set(grads.reads, read(in, e, t, states[t + 1]), e.b, t, e.n, e.i);
  }
  T g = grads.grad_final_state.given() ? get<T>(grads.grad_final_state, e.b, e.n, e.i) : T(0);
  for (int64_t t = length - 1; t >= 0; --t) {
    if (is_padding(in, e.b, t)) continue;
    const T grad_read = get<T>(grads.grad_reads, e.b, t, e.n, e.i);
    g += get<T>(in.q, e.b, t, e.n) * grad_read;
    const int64_t token = e.b * length + t;
    sums.q[token * columns + e.n] += grad_read * states[t + 1];
    sums.k[token * columns + e.n] += g * get<T>(in.v, e.b, t, e.i);
    sums.v[token * width + e.i] += g * get<T>(in.k, e.b, t, e.n);
    if (!begins_document(in, e.b, t)) sums.decay[e.n] += g * states[t];
    g = begins_document(in, e.b, t) ? T(0) : get<T>(in.decay, e.n) * g;
  }
  set(grads.grad_initial_state, g, e.b, e.n, e.i);
}

template <typename T>
void write_sums(const WordSsmInputs& in, const WordSsmGradients& grads, const Sums<T>& sums) {
  const auto [batch, length, columns] = in.q.size;
  const int64_t width = in.v.size[2];
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t t = 0; t < length; ++t) {
      const int64_t token = b * length + t;
      for (int64_t n = 0; n < columns; ++n) {
        set(grads.grad_q, sums.q[token * columns + n], b, t, n);
        set(grads.grad_k, sums.k[token * columns + n], b, t, n);
      }
      for (int64_t i = 0; i < width && grads.grad_v.given(); ++i)
        set(grads.grad_v, get<T>(grads.grad_v, b, t, i) + sums.v[token * width + i], b, t, i);
    }
  }
  for (int64_t n = 0; n < columns; ++n) set(grads.grad_decay, sums.decay[n], n);
}

}  // namespace

template <typename T>
void word_ssm(const WordSsmInputs& in, const WordSsmOutputs& out) {
  const auto [batch, length, columns] = in.q.size;
  for (Element e{0, 0, 0}; e.b < batch; ++e.b) {
    for (e.n = 0; e.n < columns; ++e.n) {
      for (e.i = 0; e.i < in.v.size[2]; ++e.i) {
        T state = first_state<T>(in, e);
        for (int64_t t = 0; t < length; ++t) {
          state = next_state(in, e, t, state);
          set(out.reads, read(in, e, t, state), e.b, t, e.n, e.i);
        }
        set(out.final_state, state, e.b, e.n, e.i);
      }
    }
  }
}

template <typename T>
void word_ssm_backward(const WordSsmInputs& in, const WordSsmGradients& grads) {
  const auto [batch, length, columns] = in.q.size;
  const int64_t width = in.v.size[2];
  Sums<T> sums;
  sums.q.resize(batch * length * columns), sums.k.resize(batch * length * columns);
  sums.v.resize(batch * length * width), sums.decay.resize(columns);
  for (Element e{0, 0, 0}; e.b < batch; ++e.b)
    for (e.n = 0; e.n < columns; ++e.n)
      for (e.i = 0; e.i < width; ++e.i) backward_element(in, grads, e, sums);
  write_sums(in, grads, sums);
}

template void word_ssm<float>(const WordSsmInputs&, const WordSsmOutputs&);
template void word_ssm<double>(const WordSsmInputs&, const WordSsmOutputs&);
template void word_ssm_backward<float>(const WordSsmInputs&, const WordSsmGradients&);
template void word_ssm_backward<double>(const WordSsmInputs&, const WordSsmGradients&);

}  // namespace adder::kernels::ref
