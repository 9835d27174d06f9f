#include "adder/model/word_ssm_spec.h"

#include <cmath>

#include "adder/model/option_check.h"

namespace adder::model {
namespace {

const std::vector<std::string> kForms = {"A", "B", "C", "D", "E"};
const std::vector<std::string> kDecays = {"log_uniform", "real"};

/// The tensors of a layer, with the inits that its forms share.
struct Tensors {
  int64_t E, S, O;
  double output_scale;
  TensorList list;

  /// NAME.weight (rows, E) and NAME.bias (rows).
  void from_input(const std::string& name, int64_t rows, Init bias = {}, double scale = 1) {
    list.matrix(name + ".weight", rows, E, uniform_fan_in(E, scale));
    list.small(name + ".bias", {rows}, bias);
  }
  void out_proj(int64_t columns) {
    list.matrix("out_proj.weight", O, columns, uniform_fan_in(columns, output_scale));
    list.small("out_proj.bias", {O}, {});
  }
  void layer_norm(int64_t width) {
    list.small("norm.weight", {width}, {Init::Kind::kConstant, 1});
    list.small("norm.bias", {width}, {});
  }
  void transition(Shape shape, const Init& init) {
    list.small("A", std::move(shape), init);
    list.specs.back().frozen = true;
  }
  void skip() { list.small("D", {E}, {Init::Kind::kConstant, 1}); }
};

}  // namespace

void WordSsmSpec::describe(OptionVisitor& v) {
  v.choice("form", form, kForms, "which of the recurrences that fit YS-71M's totals");
  v.field("d_state", d_state, "size of the state (S); 0: d_model");
  v.field("d_out", d_out_option, "width of what the layer gives; 0: d_model");
  v.choice("decay", decay, kDecays,
           "form A: memories of the state's rows, equal ratios from 1 to `memory`, or the spectrum "
           "of HiPPO");
  v.field("memory", memory, "forms A, D, E: the longest memory at the start, in tokens");
  v.choice("hippo", hippo, hippo_names(), "forms B, C: the system whose step is the transition");
  v.field("dt_min", dt_min, "forms B, C: least step of the transition, 1 / the longest memory");
  v.field("dt_max", dt_max, "forms B, C: largest step of the transition");
  v.field("norm_eps", norm_eps, "forms B, D: added to the variance in the norm");
}

void WordSsmSpec::check(const LayerPlace& place) const {
  require_within("d_model", place.d_model, 1, kMaxWidth);
  require_choice("word_ssm.form", form, kForms);
  require_within("word_ssm.d_state", d_state, 0, kMaxWidth);
  require_within("word_ssm.d_out", d_out_option, 0, kMaxWidth);
  require_choice("word_ssm.decay", decay, kDecays);
  require_number("word_ssm.memory", memory, 2, 1e6);
  require_choice("word_ssm.hippo", hippo, hippo_names());
  require_number("word_ssm.dt_min", dt_min, 0, 1e6, true);
  require_number("word_ssm.dt_max", dt_max, dt_min, 1e6);
  require_number("word_ssm.norm_eps", norm_eps, 0, 1);
  const int64_t S = states_of(place.d_model);
  if ((form == "B" || form == "C") && hippo_in_pairs(hippo_named(hippo)) && S % 2 != 0) {
    fail_option("word_ssm.d_state", std::to_string(S),
                "the states of hippo = " + hippo + " come in pairs");
  }
  if (form == "C" && d_out(place) != place.d_model) {
    fail_option(
        "word_ssm.d_out", std::to_string(d_out(place)),
        "form C adds its input, which is d_model = " + std::to_string(place.d_model) + " wide");
  }
}

int64_t WordSsmSpec::d_out(const LayerPlace& place) const {
  return d_out_option == 0 ? place.d_model : d_out_option;
}

std::vector<TensorSpec> WordSsmSpec::tensors(const LayerPlace& place) const {
  const int64_t E = place.d_model, S = states_of(E), O = d_out(place);
  Tensors t{E, S, O, place.output_scale(), {}};
  const Init step{Init::Kind::kHippoStep, dt_min, dt_max, 0, hippo_named(hippo), S};
  if (form == "A") {
    t.from_input("q_proj", S);
    t.from_input("k_proj", S);
    t.from_input("v_proj", E);
    t.out_proj(S * E);
  } else if (form == "B") {
    Init input = step;
    input.kind = Init::Kind::kHippoInput;
    t.transition({E, S, S}, step);
    t.list.small("B", {E, S}, input);
    t.list.small("C", {E, S}, {Init::Kind::kNormal, 1});
    t.skip();
    t.layer_norm(E);
    t.out_proj(E);
  } else if (form == "C") {
    t.transition({S, S}, step);
    t.from_input("B_proj", S);
    t.from_input("C_proj", S);
    t.skip();
    t.out_proj(S * E);
  } else if (form == "D") {
    // Small beside the bias that they change: a row of A_t is S numbers.
    const double scale = 1 / static_cast<double>(S);
    t.from_input("A_proj", S * S,
                 {Init::Kind::kHippoStep, 1 / memory, 1 / memory, 0, Hippo::kReal, S}, scale);
    t.from_input("in_proj", S);
    t.layer_norm(S);
    t.out_proj(S);
  } else {
    t.from_input("v_proj", S);
    t.from_input("g_proj", S, {Init::Kind::kLogUniform, 1, memory - 1});
    t.from_input("q_proj", S);
    t.list.specs.push_back(
        {"bilinear.weight", {O, S, S}, uniform_fan_in(S * S, place.output_scale()), true, false});
    t.list.small("bilinear.bias", {O}, {});
  }
  return t.list.specs;
}

std::vector<StateSpec> WordSsmSpec::states(const LayerPlace& place) const {
  const int64_t E = place.d_model, S = states_of(E);
  if (form == "D" || form == "E") return {{"ssm", {S}}};
  return {{"ssm", form == "B" ? Shape{E, S} : Shape{S, E}}};
}

double WordSsmSpec::forward_flops(const LayerPlace& place, int64_t /*length*/) const {
  const auto E = static_cast<double>(place.d_model), O = static_cast<double>(d_out(place));
  const auto S = static_cast<double>(states_of(place.d_model));
  if (form == "A") return 2 * E * (2 * S + E) + 4 * S * E + 2 * O * S * E;
  if (form == "B") return 2 * E * (S * (S + 2) + 1) + 2 * O * E;
  if (form == "C") return 4 * E * S + S * E * (2 * S + 3) + 2 * O * S * E + 2 * E;
  if (form == "D") return 2 * E * S * (S + 1) + 5 * S * S + 2 * O * S;
  return 6 * E * S + 4 * S + S * S + 2 * O * S * S;
}

std::vector<float> WordSsmSpec::decays(int64_t d_model) const {
  const int64_t S = states_of(d_model);
  std::vector<float> a(static_cast<std::size_t>(S));
  for (int64_t n = 0; n < S; ++n) {
    const auto place = static_cast<double>(n);
    const double last = static_cast<double>(S > 1 ? S - 1 : 1);
    const double value =
        decay == "real" ? std::exp(-(place + 1) / memory) : 1 - std::pow(memory, -place / last);
    a[static_cast<std::size_t>(n)] = static_cast<float>(value);
  }
  return a;
}

}  // namespace adder::model
