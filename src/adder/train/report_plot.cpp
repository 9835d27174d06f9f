#include "adder/train/report_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "adder/train/report_html.h"

namespace adder::train {
namespace {

// The drawing in its own units; the page scales it.
constexpr double kHeight = 260;
constexpr double kNarrowWidth = 560, kWideWidth = 1140;
constexpr double kLeft = 58, kRight = 14, kTop = 12, kBottom = 40;
constexpr size_t kMostPoints = 600;

bool finite(const Point& p) {
  return std::isfinite(p.x) && std::isfinite(p.y);
}

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

/// From data to the drawing.
struct Frame {
  double width;
  Range x, y;
  double to_x(double v) const {
    return kLeft + (v - x.low) / (x.high - x.low) * (width - kLeft - kRight);
  }
  double to_y(double v) const {
    return kHeight - kBottom - (v - y.low) / (y.high - y.low) * (kHeight - kTop - kBottom);
  }
};

/// All of the values but the highest two hundredths: a spike does not flatten the rest.
Range y_range(const Chart& chart) {
  std::vector<double> values;
  for (const Series& s : chart.series) {
    for (const Point& p : s.points) {
      if (finite(p)) values.push_back(p.y);
    }
  }
  std::sort(values.begin(), values.end());
  Range range;
  range.add(chart.from_zero ? std::min(0.0, values.front()) : values.front());
  range.add(values[(values.size() - 1) * 98 / 100]);
  if (values.size() < 100) range.add(values.back());
  const double span = range.high - range.low;
  const double margin = span > 0 ? 0.05 * span : std::max(std::abs(range.high) * 0.1, 1e-12);
  range.high += margin;
  if (!chart.from_zero || range.low < 0) range.low -= margin;
  return range;
}

Frame frame_of(const Chart& chart) {
  Frame frame{.width = chart.wide ? kWideWidth : kNarrowWidth};
  for (const Series& s : chart.series) {
    for (const Point& p : s.points) {
      if (finite(p)) frame.x.add(p.x);
    }
  }
  if (frame.x.empty()) return frame;
  if (frame.x.low == frame.x.high) {
    frame.x.low -= 0.5;
    frame.x.high += 0.5;
  }
  frame.y = y_range(chart);
  return frame;
}

std::string axis_number(double value) {
  if (value == 0) return "0";
  if (std::abs(value) >= 10000) return format_short(value);
  if (std::abs(value) < 1e-3) return fmt::format("{:.2g}", value);
  return fmt::format("{:.6g}", value);
}

std::string axes(const Chart& chart, const Frame& frame) {
  std::string out = "<g class=\"axis\">";
  for (const double v : ticks(frame.y.low, frame.y.high, 5)) {
    const double y = frame.to_y(v);
    out += fmt::format(
        "<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
        kLeft, frame.width - kRight, y, y, kLeft - 8, y + 4, axis_number(v));
  }
  const double base = kHeight - kBottom;
  for (const double v : ticks(frame.x.low, frame.x.high, chart.wide ? 12 : 6)) {
    const double x = frame.to_x(v);
    out += fmt::format(
        "<line class=\"tick\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>",
        x, x, base, base + 5, x, base + 18, axis_number(v));
  }
  out += fmt::format(
      "<line class=\"base\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
      "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text></g>",
      kLeft, frame.width - kRight, base, base, (kLeft + frame.width - kRight) / 2, kHeight - 6,
      escape_html(chart.x_name));
  return out;
}

std::string path(const Series& series, const Frame& frame) {
  std::string line, dots;
  bool pen_down = false;
  for (const Point& p : thin_out(series.points, kMostPoints)) {
    if (!finite(p)) {
      pen_down = false;
      continue;
    }
    const double x = frame.to_x(p.x), y = frame.to_y(p.y);
    line += fmt::format("{}{:.1f} {:.1f}", pen_down ? "L" : "M", x, y);
    pen_down = true;
    if (series.marked) dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>", x, y);
  }
  return fmt::format("<g class=\"c{}{}\"><path d=\"{}\"/>{}</g>", series.colour,
                     series.faint ? " faint" : "", line, dots);
}

/// The numbers under the pointer: [["name", colour, [x, ...], [y, ...]], ...] beside the frame.
std::string data_attributes(const Chart& chart, const Frame& frame) {
  std::string out = "[";
  for (const Series& s : chart.series) {
    std::string xs, ys;
    for (const Point& p : thin_out(s.points, kMostPoints)) {
      if (!finite(p)) continue;
      xs += fmt::format("{}{:.9g}", xs.empty() ? "" : ",", p.x);
      ys += fmt::format("{}{:.5g}", ys.empty() ? "" : ",", p.y);
    }
    std::string name;
    for (const char c : s.name) {
      if (c == '"' || c == '\\') name += '\\';
      if (static_cast<unsigned char>(c) >= 0x20) name += c;
    }
    out +=
        fmt::format("{}[\"{}\",{},[{}],[{}]]", out.size() > 1 ? "," : "", name, s.colour, xs, ys);
  }
  return fmt::format("data-frame=\"{},{},{},{},{:.9g},{:.9g},{:.9g},{:.9g}\" data-series=\"{}]\"",
                     kLeft, frame.width - kRight, kTop, kHeight - kBottom, frame.x.low,
                     frame.x.high, frame.y.low, frame.y.high, escape_html(out));
}

std::string legend(const Chart& chart) {
  std::string out;
  for (const Series& s : chart.series) {
    if (s.faint || s.name.empty() || chart.series.size() < 2) continue;
    out += fmt::format("<span class=\"key c{}\"><i></i>{}</span>", s.colour, escape_html(s.name));
  }
  return out;
}

/// Every series, faint ones behind.
std::string lines(const Chart& chart, const Frame& frame) {
  std::string out;
  for (const bool faint : {true, false}) {
    for (const Series& s : chart.series) {
      if (s.faint == faint) out += path(s, frame);
    }
  }
  return out;
}

/// A title and the names of the series, for a picture that stands alone.
std::string svg_heading(const Chart& chart, const Frame& frame) {
  std::string out = fmt::format(
      "<text x=\"{}\" y=\"-14\" font-size=\"15\"><tspan font-weight=\"bold\">{}</tspan>  {}</text>",
      kLeft, escape_html(chart.title), escape_html(chart.unit));
  double y = kTop + 14;
  for (const Series& s : chart.series) {
    if (s.faint || s.name.empty()) continue;
    out += fmt::format(
        "<g class=\"c{0}\"><path d=\"M{1} {2}h18\"/></g><text x=\"{3}\" y=\"{4}\" "
        "font-size=\"13\">{5}</text>",
        s.colour, frame.width - 190, y - 4, frame.width - 166, y, escape_html(s.name));
    y += 19;
  }
  return out;
}

/// The colours and lines of report_style.h for a white sheet.
constexpr const char* kSvgStyle =
    "text{font-family:system-ui,'DejaVu Sans',sans-serif;fill:#1d2126}.axis text{fill:#626a73;"
    "font-size:11.5px}.axis line{stroke:#e3e4e0}.axis .base,.axis .tick{stroke:#626a73}.c1{color:"
    "#2166c4}.c2{color:#d1570a}.c3{color:#16805b}.c4{color:#8b3fa8}path{fill:none;stroke:"
    "currentColor;stroke-width:1.8;stroke-linejoin:round}.faint path{stroke-width:1;opacity:.32}"
    "circle{fill:currentColor}";

}  // namespace

std::string draw(const Chart& chart) {
  const Frame frame = frame_of(chart);
  if (frame.x.empty()) return "";
  static constexpr const char* kFigure =
      "<figure><figcaption><b>{}</b> <small>{}</small>{}</figcaption>"
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\" {}>{}<svg x=\"0\" y=\"{}\" "
      "width=\"{}\" height=\"{}\" viewBox=\"0 {} {} {}\">";
  const std::string label = chart.title + " over " + chart.x_name + ", from " +
                            format_number(frame.x.low) + " to " + format_number(frame.x.high);
  const double inner = kHeight - kTop - kBottom + 8;  // lines are cut at the frame
  return fmt::format(fmt::runtime(kFigure), escape_html(chart.title), escape_html(chart.unit),
                     legend(chart), frame.width, kHeight, escape_html(label),
                     data_attributes(chart, frame), axes(chart, frame), kTop - 4, frame.width,
                     inner, kTop - 4, frame.width, inner) +
         lines(chart, frame) + "</svg><g class=\"hover\"></g></svg></figure>\n";
}

std::string draw_svg(const Chart& chart) {
  const Frame frame = frame_of(chart);
  if (frame.x.empty()) return "";
  constexpr double kHeading = 36;  // room above the frame
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 {} {} {}\" width=\"{}\">"
             "<style>{}</style><rect x=\"0\" y=\"{}\" width=\"100%\" height=\"100%\" "
             "fill=\"#fff\"/>",
             -kHeading, frame.width, kHeight + kHeading, frame.width, kSvgStyle, -kHeading) +
         axes(chart, frame) + lines(chart, frame) + svg_heading(chart, frame) + "</svg>\n";
}

std::vector<double> ticks(double lowest, double highest, int count) {
  const double span = highest - lowest;
  if (!(span > 0) || !std::isfinite(span) || count < 1) return {lowest};
  const double raw = span / count;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw * (1 - 1e-9)) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> values;
  for (double i = std::ceil(lowest / step - 1e-9); i * step <= highest + 1e-9 * span; ++i) {
    values.push_back(i * step);
  }
  return values;
}

std::vector<Point> thin_out(const std::vector<Point>& points, size_t count) {
  if (points.size() <= count || count < 4) return points;
  const size_t buckets = count / 2;
  std::vector<Point> kept = {points.front()};
  for (size_t b = 0; b < buckets; ++b) {
    const auto begin = points.begin() + static_cast<int64_t>(b * points.size() / buckets);
    const auto end = points.begin() + static_cast<int64_t>((b + 1) * points.size() / buckets);
    auto low = end, high = end;
    for (auto p = begin; p != end; ++p) {
      if (!finite(*p)) continue;
      if (low == end || p->y < low->y) low = p;
      if (high == end || p->y >= high->y) high = p;
    }
    if (low == end) continue;
    kept.push_back(*std::min(low, high));
    if (low != high) kept.push_back(*std::max(low, high));
  }
  kept.push_back(points.back());
  return kept;
}

std::vector<Point> smooth(const std::vector<Point>& points, size_t reach) {
  std::vector<Point> kept;
  std::copy_if(points.begin(), points.end(), std::back_inserter(kept), finite);
  std::vector<double> sums = {0};
  for (const Point& p : kept) sums.push_back(sums.back() + p.y);
  std::vector<Point> result;
  for (size_t i = 0; i < kept.size(); ++i) {
    const size_t begin = i > reach ? i - reach : 0, end = std::min(i + reach + 1, kept.size());
    result.push_back({kept[i].x, (sums[end] - sums[begin]) / static_cast<double>(end - begin)});
  }
  return result;
}

}  // namespace adder::train
