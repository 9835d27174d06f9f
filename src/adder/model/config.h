// A language model as data: Input (token embedding) -> stack of blocks -> Readout (norm, LM head).
#pragma once

#include <string>
#include <vector>

#include "adder/model/mixer_spec.h"
#include "adder/model/mlp_spec.h"

namespace adder::model {

struct ModelConfig {
  int64_t vocab_size = 0;  // rows of the embedding; 0 in a recipe: the tokenizer's size
  int64_t d_model = 128;
  int64_t n_layer = 4;
  std::vector<std::string> layers = {"mamba2"};  // mixer of each layer; a shorter list repeats
  std::string norm = "rms";  // rms | none: before each mixer and MLP, and after the last
  double norm_eps = 1e-5;
  bool residual = true;  // blocks add to the stream; false: what a block gives replaces it
  bool residual_in_fp32 = true;
  bool tie_embeddings = true;
  bool head_bias = false;
  double embedding_std = 0.02;
  MlpSpec mlp;      // of every layer
  MixerSet mixers;  // the options of each kind; only those that `layers` names matter

  void describe(OptionVisitor& visitor);
  /// Throws kConfig: sizes that are not positive, unknown mixers, options that do not fit.
  void check() const;

  LayerPlace place(int64_t layer) const {
    return {d_model, layer, n_layer, !residual ? 0 : mlp.given() ? 2 : 1};
  }
  const MixerSpec& mixer(int64_t layer) const;
  bool normed() const { return norm == "rms"; }
  /// Width of what the head reads: of the last layer's output.
  int64_t d_readout() const { return mixer(n_layer - 1).d_out(place(n_layer - 1)); }
};

/// Every parameter in the order of the forward pass, with the names of Hugging Face's mamba and
/// mamba2 layouts: backbone.embeddings.weight, backbone.layers.I.norm.weight,
/// backbone.layers.I.mixer.*, backbone.norm_f.weight and, untied, lm_head.weight; and with the
/// Mamba authors' names of an MLP: backbone.layers.I.norm2.weight, backbone.layers.I.mlp.*. Without
/// norms none of theirs; with a bias of the head lm_head.bias.
std::vector<TensorSpec> tensor_specs(const ModelConfig& config);

/// "backbone.layers.3."
std::string layer_prefix(int64_t layer);
/// "backbone.layers.3.mixer."
std::string mixer_prefix(int64_t layer);

int64_t parameter_count(const ModelConfig& config);

/// Floating-point operations of a forward pass for one token in a sequence of `length` (head
/// included).
double forward_flops(const ModelConfig& config, int64_t length);

}  // namespace adder::model
