#include "adder/infer/word_ssm.h"

#include "adder/infer/for_rows.h"
#include "adder/infer/word_ssm_base.h"
#include "adder/infer/word_ssm_forms.h"
#include "adder/kernels/word_ssm.h"

namespace adder::infer {
namespace {

/// Form A out of its kernel.
class WordSsmA final : public WordSsm {
 public:
  WordSsmA(const model::ModelConfig& config, int64_t layer, const model::Weights& weights)
      : WordSsm(config, layer),
        decay_(spec_.decays(config.d_model)),
        q_proj_(weights, model::mixer_prefix(layer) + "q_proj"),
        k_proj_(weights, model::mixer_prefix(layer) + "k_proj"),
        v_proj_(weights, model::mixer_prefix(layer) + "v_proj"),
        out_proj_(weights, model::mixer_prefix(layer) + "out_proj") {}

 private:
  struct Projected {
    float *q, *k, *v;
  };

  void run(const Pass& pass) const override {
    const Projected in{project(pass, q_proj_), project(pass, k_proj_), project(pass, v_proj_)};
    const auto fill = [&](int64_t first, int64_t some, float* reads) {
      if (pass.states.size() == 1) {
        read(pass, in, 0, pass.count, first, some, reads, pass.parallel);
        return;
      }
      for_rows(pass.count, pass.parallel, [&](int64_t row, const Parallel& threads) {
        read(pass, in, row, 1, first, some, reads + row * some * width_, threads);
      });
    };
    read_out(out_proj_.weight(), vector(out_proj_.bias(), outputs_), states_,
             rows(pass.y, pass.count, outputs_), pass.arena, pass.parallel, fill);
  }

  /// The tokens [row, row + length) of one sequence at the rows [first, first + some) of its state:
  /// reads (length, some, d_model).
  void read(const Pass& pass, const Projected& p, int64_t row, int64_t length, int64_t first,
            int64_t some, float* reads, const Parallel& parallel) const {
    using kernels::dense;
    const auto keys = [&](float* data) -> kernels::View<3> {
      return {data + row * states_ + first,
              DType::f32,
              {1, length, some},
              {length * states_, states_, 1}};
    };
    kernels::WordSsmInputs in;
    in.q = keys(p.q);
    in.k = keys(p.k);
    in.v = dense<3>(p.v + row * width_, DType::f32, {1, length, width_});
    in.decay = dense<1>(const_cast<float*>(decay_.data()) + first, DType::f32, {some});
    in.initial_state = dense<3>(state(pass, row) + first * width_, DType::f32, {1, some, width_});
    kernels::word_ssm(
        in, {dense<4>(reads, DType::f32, {1, length, some, width_}), in.initial_state}, parallel);
  }

  std::vector<float> decay_;  // (d_state)
  Linear q_proj_, k_proj_, v_proj_, out_proj_;
};

}  // namespace

std::unique_ptr<Mixer> make_word_ssm(const model::ModelConfig& config, int64_t layer,
                                     const model::Weights& weights) {
  const auto& spec = static_cast<const model::WordSsmSpec&>(config.mixer(layer));
  if (spec.form == "A") return std::make_unique<WordSsmA>(config, layer, weights);
  return make_word_ssm_form(config, layer, weights);
}

}  // namespace adder::infer
