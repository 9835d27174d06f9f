#include "adder/train/options.h"

namespace adder::train {

void OptimizerOptions::describe(OptionVisitor& v) {
  v.field("lr", lr, "peak learning rate of AdamW");
  v.field("beta1", beta1, "AdamW: decay of the mean gradient");
  v.field("beta2", beta2, "AdamW: decay of the mean squared gradient");
  v.field("eps", eps, "AdamW: added to the root of the squared gradient");
  v.field("weight_decay", weight_decay,
          "AdamW: decay of matrices; norms, biases and decays are exempt");
  v.field("clip", clip, "largest global gradient norm; 0: no clipping");
}

void ScheduleOptions::describe(OptionVisitor& v) {
  v.choice("schedule", schedule, {"cosine", "wsd", "constant"},
           "learning rate over time; wsd: warm-up, stable, linear decay");
  v.field("warmup_steps", warmup_steps, "steps of linear warm-up");
  v.field("final_lr", final_lr, "what cosine and wsd end at, as a fraction of lr");
  v.field("decay_fraction", decay_fraction,
          "wsd: last share of the steps, in which the rate falls");
}

void GuardOptions::describe(OptionVisitor& v) {
  v.choice("on_nan", on_nan, {"stop", "skip", "rollback"},
           "when a loss or gradient is not finite: stop, leave the step out, or go back to the "
           "last checkpoint");
  v.choice("on_spike", on_spike, {"ignore", "stop", "skip", "rollback"},
           "when a loss is spike_sigma deviations above the last 128");
  v.field("spike_sigma", spike_sigma, "deviations that make a spike");
  v.field("max_skips", max_skips, "bad steps in a row before training stops");
}

void TrainOptions::describe(OptionVisitor& v) {
  v.field("steps", steps, "optimiser steps");
  v.field("batch_size", batch_size, "sequences in one forward pass");
  v.field("length", length, "tokens in a sequence");
  v.field("accumulation", accumulation, "forward passes in one step");
  v.choice("compute", compute, {"f32", "bf16"},
           "type of activations and matrix products; weights stay fp32");
  v.field("checkpoint_activations", checkpoint_activations,
          "keep each block's input only and compute the rest again: less memory, about a third "
          "more time");
  v.field("seed", seed, "of initialisation, data order and samples");
  v.field("threads", threads, "processor threads; 0: every core");
  v.field("init", init, "model directory to start from (fine-tuning)");
  v.field("z_loss", z_loss, "weight of the squared log-partition in the loss");
  v.field("label_smoothing", label_smoothing, "share of the target spread over the vocabulary");
  optimizer.describe(v);
  schedule.describe(v);
  guard.describe(v);
  v.field("log_every", log_every, "steps between metrics");
  v.field("eval_every", eval_every, "steps between evaluations; 0: at the end only");
  v.field("eval_windows", eval_windows, "windows an evaluation on the way reads; 0: all");
  v.field("save_every", save_every, "steps between checkpoints; 0: at the end only");
  v.field("keep_last", keep_last, "checkpoints kept beside the best");
  v.field("sample_every", sample_every, "steps between samples; 0: at the end only");
  v.field("sample_prompt", sample_prompt, "what samples begin with");
  v.field("sample_tokens", sample_tokens, "tokens in a sample");
}

void Recipe::describe(OptionVisitor& v) {
  v.group("data", data);
  v.group("model", model);
  v.group("train", train);
}

}  // namespace adder::train
