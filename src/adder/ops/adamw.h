// AdamW and the global gradient norm over tensors of a device (kernels/adamw.h has the formulas).
// Nothing here waits for the device, and what changes from step to step is read from device memory:
// a captured step replays with other values in `step`.
//
//   AdamwBoard board = adamw_board(device);
//   set(board, {.lr = …, .bias1 = …, .bias2 = …, .clip = …, .loss_limit = …});
//   loss_of(board).copy_(loss);                // these three may be captured
//   gradient_norm(parameters, board);
//   adamw(parameters, options, board);
//   read(board);                               // waits
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "adder/kernels/adamw.h"

namespace adder::ops {

/// One parameter. Dense f32 tensors of one shape on one device; the gradient f32 or bf16.
struct AdamwParameter {
  at::Tensor parameter;
  at::Tensor gradient;  // undefined: counts as zeros
  at::Tensor mean, square;
  at::Tensor copy;  // bf16, takes the new parameter; optional
  double decay = 0;
};

struct AdamwOptions {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
};

/// What a step brings and what comes of it, in device memory.
struct AdamwBoard {
  at::Tensor step;    // f64 (5): the fields of kernels::AdamwStep in order
  at::Tensor report;  // f64 (3): loss, norm, applied, as in kernels::AdamwReport
};

/// No limit on the loss, no clipping, lr 0; the report is NaN.
AdamwBoard adamw_board(at::Device device);

/// Gives the values to the current stream, through pinned memory; does not wait.
void set(const AdamwBoard& board, const kernels::AdamwStep& values);

/// Where the mean loss of the step belongs, f64 (), before gradient_norm().
at::Tensor loss_of(const AdamwBoard& board);

/// Waits for the current stream.
kernels::AdamwReport read(const AdamwBoard& board);

/// Norm of all gradients together, and whether the step is to be applied, into the report.
void gradient_norm(const std::vector<AdamwParameter>& parameters, const AdamwBoard& board);

/// The update, after gradient_norm() of the same parameters. Changes nothing where the report says
/// `applied` 0.
void adamw(const std::vector<AdamwParameter>& parameters, const AdamwOptions& options,
           const AdamwBoard& board);

}  // namespace adder::ops
