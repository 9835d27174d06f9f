// The state of form A of YS-71M's layer and what is read from it (ys-71m 6.1): an outer product a
// token, a fixed decay for each column, and a query that scales the columns.
//
//   S_t[n,i] = decay[n] S_t-1[n,i] + k_t[n] v_t[i]
//   R_t[n,i] = q_t[n] S_t[n,i]                        the reads, which a matrix product then mixes
//
// All functions work on any number of columns n at once, since no column knows of another: give
// them views of some columns of q, k, decay, states and reads, and the reads of a long text never
// exist whole. seq_idx as in causal_conv1d.h: the state starts at zero where a document begins, the
// initial state belongs to the first token's document, the final state is the one after the row's
// last real token; reads and gradients of padding are zero, and its inputs are never looked at.
//
// One token of one sequence is a call with batch 1, length 1, every column, and final_state the
// same memory as initial_state; kernels/linear.h then takes the reads as one row of columns *
// width.
#pragma once

#include "adder/base/parallel.h"
#include "adder/kernels/view.h"

namespace adder::kernels {

struct WordSsmInputs {
  View<3> q, k;           // (batch, length, columns) f64|f32|bf16, last dimension contiguous
  View<3> v;              // (batch, length, width), as q
  View<1> decay;          // (columns) f64|f32, dense
  View<3> initial_state;  // (batch, columns, width) f64|f32, rows of width contiguous, optional
  View<2> seq_idx;        // (batch, length) i32, optional
};

struct WordSsmOutputs {
  View<4> reads;        // (batch, length, columns, width) dtype of q, width contiguous
  View<3> final_state;  // (batch, columns, width) f64|f32, optional; may be initial_state's memory
};

/// Gradients, given that of the reads; any output may be left out. The states are made again, and
/// with them the reads. Sums are taken in a fixed order, whatever the number of threads.
struct WordSsmGradients {
  View<4> grad_reads;        // in, as reads
  View<3> grad_final_state;  // in, as final_state, optional
  View<4> reads;             // as WordSsmOutputs::reads: the weight's gradient wants them again
  View<3> grad_q, grad_k;    // as q
  View<3> grad_v;            // (batch, length, width) f64|f32: added to, for v is every column's
  View<1> grad_decay;        // (columns)
  View<3> grad_initial_state;
};

void word_ssm(const WordSsmInputs& in, const WordSsmOutputs& out, const Parallel& parallel);
void word_ssm_backward(const WordSsmInputs& in, const WordSsmGradients& grads,
                       const Parallel& parallel);

}  // namespace adder::kernels
