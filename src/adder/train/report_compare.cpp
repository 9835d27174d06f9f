#include "adder/train/report_compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "adder/train/report_html.h"
#include "adder/train/report_plot.h"
#include "adder/train/report_run.h"

namespace adder::train {
namespace {

constexpr int kColours = 4;  // of the style sheet

/// One experiment: its repetitions.
struct Group {
  std::string label;
  std::vector<Run> runs;
};

std::vector<Group> read_groups(const std::vector<LabelledRun>& runs) {
  std::vector<Group> groups;
  for (const auto& [label, folder] : runs) {
    require_run(folder);
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const Group& g) { return g.label == label; });
    if (group == groups.end()) group = groups.insert(groups.end(), {label, {}});
    group->runs.push_back(read_run(folder));
  }
  return groups;
}

/// Tokens that a run had read at `step`.
double tokens_at(const Run& run, int64_t step) {
  const auto& steps = run.metrics.steps;
  if (steps.empty() || steps.back().step == 0) return 0;
  return static_cast<double>(steps.back().tokens) * static_cast<double>(step) /
         static_cast<double>(steps.back().step);
}

std::vector<Point> held_out(const Run& run) {
  std::vector<Point> points;
  for (const EvalMetrics& e : run.metrics.evaluations) {
    const auto loss = e.values.find("loss");
    if (loss != e.values.end()) points.push_back({tokens_at(run, e.step), loss->second});
  }
  return points;
}

std::vector<Point> training(const Run& run) {
  std::vector<Point> points;
  for (const StepMetrics& s : run.metrics.steps) points.push_back({double(s.tokens), s.loss});
  return smooth(points, std::max<size_t>(1, points.size() / 60));
}

/// A line for each run; the first of a group names it.
Chart chart_of(const std::vector<Group>& groups, const char* title,
               std::vector<Point> (*curve)(const Run&), bool marked) {
  Chart chart{.title = title, .unit = "nats per token", .x_name = "tokens read", .wide = true};
  int colour = 0;
  for (const Group& group : groups) {
    colour = colour % kColours + 1;
    for (const Run& run : group.runs) {
      const bool first = &run == &group.runs.front();
      chart.series.push_back({.name = first ? group.label : "",
                              .colour = colour,
                              .points = curve(run),
                              .marked = marked});
    }
  }
  return chart;
}

double median(std::vector<double> values) {
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  if (values.empty()) return NAN;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// What the table says of a group.
struct Summary {
  double parameters = NAN, tokens = NAN, seconds = NAN, speed = NAN;
  std::vector<double> losses;  // the last held-out loss of each run that was evaluated
};

Summary summary_of(const Group& group) {
  Summary summary;
  std::vector<double> tokens, seconds, speeds;
  for (const Run& run : group.runs) {
    const io::Json count = find(run.json, {"model", "parameters"});
    if (count.is_number()) summary.parameters = count.get<double>();
    const auto& steps = run.metrics.steps;
    if (!steps.empty()) {
      tokens.push_back(static_cast<double>(steps.back().tokens));
      seconds.push_back(steps.back().time - steps.front().time);
      speeds.push_back(median_speed(steps));
    }
    const auto losses = held_out(run);
    if (!losses.empty()) summary.losses.push_back(losses.back().y);
  }
  summary.tokens = median(tokens);
  summary.seconds = median(seconds);
  summary.speed = median(speeds);
  return summary;
}

std::string table(const std::vector<Group>& groups) {
  std::string out =
      "<table><tr><th>experiment</th><th class=\"n\">runs</th><th class=\"n\">parameters</th>"
      "<th class=\"n\">tokens</th><th class=\"n\">held-out loss, median</th><th class=\"n\">each "
      "run</th><th class=\"n\">tokens/s</th></tr>\n";
  for (const Group& group : groups) {
    const Summary s = summary_of(group);
    std::string each;
    for (const double loss : s.losses) each += (each.empty() ? "" : ", ") + format_number(loss);
    out += fmt::format(
        "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>"
        "<td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
        escape_html(group.label), group.runs.size(), format_short(s.parameters),
        format_short(s.tokens), format_number(median(s.losses)), each, format_short(s.speed));
  }
  return out + "</table>\n";
}

}  // namespace

std::string comparison_page(const std::vector<LabelledRun>& runs) {
  const std::vector<Group> groups = read_groups(runs);
  std::string problems;
  for (const Group& group : groups) {
    for (const Run& run : group.runs) {
      for (const std::string& problem : run.problems) {
        problems += "<p class=\"warn\">" + escape_html(problem) + "</p>\n";
      }
    }
  }
  return html_page("Comparison",
                   "<h1>Comparison</h1>\n" + problems + table(groups) + "<h2>Curves</h2>\n" +
                       draw(chart_of(groups, "Held-out loss", &held_out, true)) + "<br>\n" +
                       draw(chart_of(groups, "Training loss, smoothed", &training, false)));
}

std::string comparison_svg(const std::vector<LabelledRun>& runs) {
  return draw_svg(chart_of(read_groups(runs), "Held-out loss", &held_out, true));
}

io::Json comparison_json(const std::vector<LabelledRun>& runs) {
  io::Json json = io::Json::array();
  const auto number = [](double value) {
    return std::isfinite(value) ? io::Json(value) : io::Json();
  };
  const auto count = [](double value) {
    return std::isfinite(value) ? io::Json(std::llround(value)) : io::Json();
  };
  for (const Group& group : read_groups(runs)) {
    const Summary s = summary_of(group);
    json.push_back({{"experiment", group.label},
                    {"runs", group.runs.size()},
                    {"parameters", count(s.parameters)},
                    {"tokens", count(s.tokens)},
                    {"seconds", number(s.seconds)},
                    {"tokens_per_s", number(s.speed)},
                    {"held_out_loss", number(median(s.losses))},
                    {"held_out_losses", s.losses}});
  }
  return json;
}

}  // namespace adder::train
