// Line charts as inline SVG: axes with round ticks, series, and what the page's script needs to
// show values under the pointer. Colours come from the page's style sheet (report_style.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace adder::train {

struct Point {
  double x = 0, y = 0;
};

struct Series {
  std::string name;           // "training"
  int colour = 1;             // 1..4 of the style sheet
  std::vector<Point> points;  // x rising; points that are not finite leave a gap
  bool faint = false;         // drawn behind, thin and pale, and not in the legend
  bool marked = false;        // a dot at each point
};

struct Chart {
  std::string title;  // "Loss"
  std::string unit;   // of y: "nats per token"
  std::string x_name = "step";
  std::vector<Series> series;
  bool from_zero = false;  // the y axis begins at 0
  bool wide = false;       // for the whole width of the page
};

/// The chart as <figure>...</figure>; "" when no series has a finite point.
std::string draw(const Chart& chart);

/// The chart as a file of its own: an SVG picture with its title, legend and style within; "" as
/// above.
std::string draw_svg(const Chart& chart);

/// At most `count` + 2 round values (1, 2 or 5 times a power of ten apart) within [lowest,
/// highest].
std::vector<double> ticks(double lowest, double highest, int count);

/// At most about `count` points that keep the shape: of each bucket the lowest and the highest.
std::vector<Point> thin_out(const std::vector<Point>& points, size_t count);

/// The mean of y over each point and `reach` neighbours on both sides; points that are not finite
/// are left out.
std::vector<Point> smooth(const std::vector<Point>& points, size_t reach);

}  // namespace adder::train
