// Names of the tensors outside the layers, in memory and in files.
#pragma once

namespace adder::model {

inline constexpr const char* kEmbedding = "backbone.embeddings.weight";
/// The Mamba authors' name for it.
inline constexpr const char* kOriginalEmbedding = "backbone.embedding.weight";
inline constexpr const char* kFinalNorm = "backbone.norm_f.weight";
inline constexpr const char* kHead = "lm_head.weight";
inline constexpr const char* kHeadBias = "lm_head.bias";

}  // namespace adder::model
