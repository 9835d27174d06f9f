#include "adder/eval/choices.h"

#include <cmath>

#include "adder/eval/characters.h"
#include "adder/eval/statistics.h"

namespace adder::eval {
namespace {

/// The choice of the largest log-probability / length(choice).
template <typename Length>
int64_t likeliest(const ChoiceItem& item, const std::vector<Likelihood>& found, Length&& length) {
  int64_t best = 0;
  double top = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double score = found[i].log_probability / static_cast<double>(length(item.choices[i]));
    if (i > 0 && !(score > top)) continue;
    best = static_cast<int64_t>(i);
    top = score;
  }
  return best;
}

/// null where one item says nothing of the others. `factor`: of the mean to what is reported.
io::Json error_json(const std::optional<double>& error, double factor = 1) {
  return error ? io::Json(factor * *error) : io::Json();
}

void add_share(io::Json& json, const std::string& name, int64_t right, int64_t items) {
  const double share = static_cast<double>(right) / static_cast<double>(items);
  json[name] = share;
  json[name + "_stderr"] = error_json(share_error(share, items));
}

}  // namespace

ChoiceResult answer(infer::Model& model, const text::Tokenizer& tokenizer, const ChoiceItem& item,
                    std::optional<int32_t> start) {
  std::vector<std::string> continuations;
  for (const std::string& choice : item.choices) continuations.push_back(item.delimiter + choice);
  ChoiceResult result{.gold = item.gold};
  result.choices = likelihoods(model, encode_pairs(tokenizer, item.context, continuations, start));
  result.best = likeliest(item, result.choices, [](const std::string&) { return 1; });
  result.best_norm = likeliest(item, result.choices, character_count);
  result.best_bytes =
      likeliest(item, result.choices, [](const std::string& c) { return c.size(); });
  return result;
}

Likelihood answer(infer::Model& model, const text::Tokenizer& tokenizer, const ClozeItem& item,
                  std::optional<int32_t> start) {
  const std::string target = item.delimiter + item.target;
  return likelihoods(model, encode_pairs(tokenizer, item.context, {&target, 1}, start))[0];
}

void TaskScores::add(const ChoiceResult& result) {
  ++choices_;
  right_ += result.best == result.gold;
  right_norm_ += result.best_norm == result.gold;
  right_bytes_ += result.best_bytes == result.gold;
}

void TaskScores::add(const Likelihood& cloze) {
  clozes_.push_back(cloze.log_probability);
  right_clozes_ += cloze.greedy;
}

io::Json TaskScores::to_json() const {
  io::Json json = io::Json::object();
  if (choices_ > 0) {
    io::Json& choices = json["choices"] = {{"items", choices_}};
    add_share(choices, "acc", right_, choices_);
    add_share(choices, "acc_norm", right_norm_, choices_);
    add_share(choices, "acc_bytes", right_bytes_, choices_);
  }
  if (!clozes_.empty()) {
    const auto items = static_cast<int64_t>(clozes_.size());
    io::Json& cloze = json["cloze"] = {{"items", items}};
    add_share(cloze, "acc", right_clozes_, items);
    double mean = 0;
    for (const double value : clozes_) mean += value / static_cast<double>(items);
    cloze["perplexity"] = std::exp(-mean);
    cloze["perplexity_stderr"] = error_json(mean_error(clozes_), std::exp(-mean));
  }
  return json;
}

io::Json item_json(const ChoiceResult& result) {
  io::Json log_probabilities = io::Json::array();
  for (const Likelihood& choice : result.choices) {
    log_probabilities.push_back(choice.log_probability);
  }
  return {{"log_probabilities", std::move(log_probabilities)},
          {"gold", result.gold},
          {"acc", result.best == result.gold},
          {"acc_norm", result.best_norm == result.gold},
          {"acc_bytes", result.best_bytes == result.gold}};
}

io::Json item_json(const Likelihood& cloze) {
  return {
      {"log_probability", cloze.log_probability}, {"tokens", cloze.tokens}, {"acc", cloze.greedy}};
}

}  // namespace adder::eval
