// Several runs beside each other: a page or a picture of their held-out losses.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "adder/io/json.h"

namespace adder::train {

/// Runs of one label are repetitions of one experiment (its seeds): one colour, one row of the
/// table, with the median.
struct LabelledRun {
  std::string label;
  std::filesystem::path folder;
};

/// A self-contained page: a table with a row for each label (runs, parameters, held-out loss, its
/// spread, speed), and the losses over the tokens read. Throws kNotFound for a folder that is no
/// run.
std::string comparison_page(const std::vector<LabelledRun>& runs);

/// The held-out losses over the tokens read as an SVG picture; "" when no run was evaluated.
std::string comparison_svg(const std::vector<LabelledRun>& runs);

/// The table's figures, one object for each label.
io::Json comparison_json(const std::vector<LabelledRun>& runs);

}  // namespace adder::train
