#include "adder/nn/word_ssm_forms.h"

#include <ATen/ATen.h>

#include "adder/nn/linear.h"
#include "adder/nn/operators.h"

namespace adder::nn {
namespace {

/// x (batch, length, ...) by token. Not select(), whose gradient is as long as x.
std::vector<Tensor> by_token(const Tensor& x) {
  return x.unbind(1);
}

/// The type of states: of the activations, but fp32 at least.
Tensor wide(const Tensor& x) {
  return x.scalar_type() == at::kBFloat16 ? x.to(at::kFloat) : x;
}

struct LayerNorm {
  LayerNorm(const Parameters& parameters, const std::string& name, double eps)
      : weight(parameters.at(name + ".weight")), bias(parameters.at(name + ".bias")), eps(eps) {}
  Tensor operator()(const Tensor& x) const {
    return at::layer_norm(x, weight.sizes(), weight, bias, eps);
  }
  Tensor weight, bias;
  double eps;
};

/// A state h (batch, ...) on its way through the tokens of a call, back to zero where a document
/// begins and untouched by padding.
class Walk {
 public:
  /// `shape`: of the state of one row.
  Walk(const Context& context, const State* carried, const Tensor& x, std::vector<int64_t> shape) {
    if (carried != nullptr && !carried->empty()) {
      h_ = (*carried)[0];
    } else {
      shape.insert(shape.begin(), x.size(0));
      h_ = at::zeros(shape, wide(x.narrow(1, 0, 0)).options());
    }
    if (!context.seq_idx.defined()) return;
    mask_shape_.assign(static_cast<size_t>(h_.dim()), 1);
    mask_shape_[0] = x.size(0);
    seq_idx_ = context.seq_idx;
  }

  /// h <- next(h) at token t. Returns what next() gave: at padding, too, which nobody reads.
  template <typename Next>
  Tensor step(size_t t, const Next& next) {
    if (!seq_idx_.defined()) return h_ = next(h_);
    const auto place = static_cast<int64_t>(t);
    const Tensor now = seq_idx_.select(1, place), padding = now.lt(0).view(mask_shape_);
    Tensor before = h_;
    if (t > 0) {  // what is carried belongs to the first token's document
      before = h_.masked_fill(now.ne(seq_idx_.select(1, place - 1)).view(mask_shape_), 0);
    }
    const Tensor after = next(before);
    h_ = at::where(padding, h_, after);
    return after;
  }

  void finish(State* carried) const {
    if (carried != nullptr) *carried = {h_};
  }

 private:
  Tensor h_, seq_idx_;
  std::vector<int64_t> mask_shape_;  // (batch, 1, ...)
};

class WordSsmB final : public Mixer {
 public:
  WordSsmB(const model::WordSsmSpec& spec, const Parameters& parameters, const std::string& prefix)
      : A_(parameters.at(prefix + "A")),
        B_(parameters.at(prefix + "B")),
        C_(parameters.at(prefix + "C")),
        D_(parameters.at(prefix + "D")),
        norm_(parameters, prefix + "norm", spec.norm_eps),
        out_proj_(parameters, prefix + "out_proj") {}

  Tensor forward(const Tensor& x, Context& context, State* carried) const override {
    const Tensor u = wide(x);
    const Tensor A = A_.transpose(1, 2), B = B_.unsqueeze(1);  // (d_model, 1, d_state)
    Walk walk(context, carried, x, B_.sizes().vec());
    std::vector<Tensor> reads;  // (batch, d_model) of each token
    const auto inputs = by_token(u);
    for (size_t t = 0; t < inputs.size(); ++t) {
      const Tensor input = inputs[t].t().unsqueeze(-1);  // (d_model, batch, 1)
      const Tensor h = walk.step(t, [&](const Tensor& before) {
        return at::baddbmm(input * B, before.transpose(0, 1), A).transpose(0, 1);
      });
      reads.push_back((h * C_).sum(-1));
    }
    walk.finish(carried);
    const Tensor y = at::stack(reads, 1) + D_ * u;  // (batch, length, d_model)
    context.probe("y", y);
    return out_proj_(norm_(y).to(x.scalar_type()));
  }

 private:
  Tensor A_, B_, C_, D_;
  LayerNorm norm_;
  Linear out_proj_;
};

class WordSsmC final : public Mixer {
 public:
  WordSsmC(const model::WordSsmSpec&, const Parameters& parameters, const std::string& prefix)
      : A_(parameters.at(prefix + "A")),
        D_(parameters.at(prefix + "D")),
        B_proj_(parameters, prefix + "B_proj"),
        C_proj_(parameters, prefix + "C_proj"),
        out_proj_(parameters, prefix + "out_proj") {}

  Tensor forward(const Tensor& x, Context& context, State* carried) const override {
    const Tensor B = B_proj_(x), C = C_proj_(x);  // (batch, length, d_state)
    context.probe("B", B.unsqueeze(2));
    context.probe("C", C.unsqueeze(2));
    const auto keys = by_token(wide(B).unsqueeze(-1)), queries = by_token(wide(C).unsqueeze(-1));
    const auto values = by_token(wide(x).unsqueeze(2));  // (batch, 1, d_model)
    Walk walk(context, carried, x, {A_.size(0), x.size(2)});
    std::vector<Tensor> reads;  // (batch, d_state, d_model) of each token
    for (size_t t = 0; t < values.size(); ++t) {
      const Tensor h = walk.step(
          t, [&](const Tensor& before) { return at::matmul(A_, before) + keys[t] * values[t]; });
      reads.push_back((queries[t] * h).to(x.scalar_type()));
    }
    walk.finish(carried);
    const Tensor z = out_proj_(at::stack(reads, 1).flatten(2));
    return z + (D_ * wide(x)).to(x.scalar_type());
  }

 private:
  Tensor A_, D_;
  Linear B_proj_, C_proj_, out_proj_;
};

class WordSsmD final : public Mixer {
 public:
  WordSsmD(const model::WordSsmSpec& spec, const Parameters& parameters, const std::string& prefix)
      : A_proj_(parameters, prefix + "A_proj"),
        in_proj_(parameters, prefix + "in_proj"),
        norm_(parameters, prefix + "norm", spec.norm_eps),
        out_proj_(parameters, prefix + "out_proj") {}

  Tensor forward(const Tensor& x, Context& context, State* carried) const override {
    const Tensor u = wide(in_proj_(x)).unsqueeze(-1);  // (batch, length, d_state, 1)
    const int64_t size = u.size(2);
    const Tensor rows = wide(A_proj_(x)).unflatten(-1, {size, size});
    const Tensor A = rows / rows.abs().sum(-1, /*keepdim=*/true).clamp_min(1);
    Walk walk(context, carried, x, {size});
    std::vector<Tensor> states;
    const auto inputs = by_token(u), transitions = by_token(A);
    for (size_t t = 0; t < inputs.size(); ++t) {
      states.push_back(walk.step(t, [&](const Tensor& before) {
        return at::baddbmm(inputs[t], transitions[t], before.unsqueeze(-1)).squeeze(-1);
      }));
    }
    walk.finish(carried);
    const Tensor y = at::stack(states, 1);  // (batch, length, d_state)
    context.probe("decay", A);
    context.probe("y", y);
    return out_proj_(norm_(y).to(x.scalar_type()));
  }

 private:
  Linear A_proj_, in_proj_;
  LayerNorm norm_;
  Linear out_proj_;
};

class WordSsmE final : public Mixer {
 public:
  WordSsmE(const model::WordSsmSpec&, const Parameters& parameters, const std::string& prefix)
      : v_proj_(parameters, prefix + "v_proj"),
        g_proj_(parameters, prefix + "g_proj"),
        q_proj_(parameters, prefix + "q_proj"),
        weight_(parameters.at(prefix + "bilinear.weight")),
        bias_(parameters.at(prefix + "bilinear.bias")) {}

  Tensor forward(const Tensor& x, Context& context, State* carried) const override {
    const Tensor v = v_proj_(x), q = q_proj_(x);     // (batch, length, d_state)
    const Tensor gate = wide(g_proj_(x)).sigmoid();  // the same
    const auto gates = by_token(gate), inputs = by_token((1 - gate) * wide(v));
    Walk walk(context, carried, x, {v.size(2)});
    std::vector<Tensor> states;
    for (size_t t = 0; t < inputs.size(); ++t) {
      states.push_back(
          walk.step(t, [&](const Tensor& before) { return gates[t] * before + inputs[t]; }));
    }
    walk.finish(carried);
    const Tensor h = at::stack(states, 1);
    context.probe("q", q.unsqueeze(2));
    context.probe("v", v.unsqueeze(2));
    context.probe("decay", gate);
    context.probe("y", h);
    // The bilinear map is form A's read-out of a state that keeps nothing: h q^T, never whole.
    const Tensor nothing = at::zeros({h.size(2)}, h.options());
    return std::get<0>(word_ssm(at::ones_like(q), h.to(x.scalar_type()), q, nothing,
                                weight_.flatten(1), bias_, std::nullopt, std::nullopt));
  }

 private:
  Linear v_proj_, g_proj_, q_proj_;
  Tensor weight_, bias_;
};

}  // namespace

std::unique_ptr<Mixer> make_word_ssm_form(const model::WordSsmSpec& spec,
                                          const Parameters& parameters, const std::string& prefix) {
  if (spec.form == "B") return std::make_unique<WordSsmB>(spec, parameters, prefix);
  if (spec.form == "C") return std::make_unique<WordSsmC>(spec, parameters, prefix);
  if (spec.form == "D") return std::make_unique<WordSsmD>(spec, parameters, prefix);
  return std::make_unique<WordSsmE>(spec, parameters, prefix);
}

}  // namespace adder::nn
