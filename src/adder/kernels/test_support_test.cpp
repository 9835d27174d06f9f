#include "adder/kernels/test_support.h"

namespace adder::kernels::testing {
namespace {

/// How many pairs of levels of (row, factor) with the others chosen so far are not yet covered.
class PairTable {
 public:
  explicit PairTable(const std::vector<int>& levels) : factors_(static_cast<int>(levels.size())) {
    for (int a = 0; a < factors_; ++a)
      for (int b = 0; b < factors_; ++b) open_.emplace_back(levels[a] * levels[b], a < b);
    levels_ = levels;
  }
  bool open(int a, int level_a, int b, int level_b) const {
    return open_[a * factors_ + b][level_a * levels_[b] + level_b];
  }
  void close(const std::vector<int>& row) {
    for (int a = 0; a < factors_; ++a)
      for (int b = a + 1; b < factors_; ++b)
        open_[a * factors_ + b][row[a] * levels_[b] + row[b]] = false;
  }
  /// Levels of a first pair that is still open; false when all are closed.
  bool first_open(std::vector<int>& row) const {
    for (int a = 0; a < factors_; ++a)
      for (int b = a + 1; b < factors_; ++b)
        for (int i = 0; i < levels_[a]; ++i)
          for (int j = 0; j < levels_[b]; ++j)
            if (open(a, i, b, j)) return row[a] = i, row[b] = j, true;
    return false;
  }

 private:
  int factors_;
  std::vector<int> levels_;
  std::vector<std::vector<bool>> open_;
};

}  // namespace

std::vector<std::vector<int>> pairwise(const std::vector<int>& levels) {
  const int factors = static_cast<int>(levels.size());
  PairTable table(levels);
  std::vector<std::vector<int>> rows;
  for (std::vector<int> row(factors, -1); table.first_open(row); row.assign(factors, -1)) {
    for (int f = 0; f < factors; ++f) {
      if (row[f] >= 0) continue;
      int best = -1;
      for (int k = 0; k < levels[f]; ++k) {
        const int level = (k + static_cast<int>(rows.size())) % levels[f];  // ties go round
        int gain = 0;
        for (int g = 0; g < factors; ++g)
          if (g != f && row[g] >= 0)
            gain += g < f ? table.open(g, row[g], f, level) : table.open(f, level, g, row[g]);
        if (gain > best) best = gain, row[f] = level;
      }
    }
    table.close(row);
    rows.push_back(row);
  }
  return rows;
}

TEST(Pairwise, CoversEveryPair) {
  const std::vector<int> levels = {10, 5, 3, 2, 2};
  const auto rows = pairwise(levels);
  EXPECT_LE(rows.size(), 60u);
  for (size_t a = 0; a < levels.size(); ++a)
    for (size_t b = a + 1; b < levels.size(); ++b)
      for (int i = 0; i < levels[a]; ++i)
        for (int j = 0; j < levels[b]; ++j)
          EXPECT_TRUE(std::any_of(rows.begin(), rows.end(),
                                  [&](const auto& row) { return row[a] == i && row[b] == j; }));
}

}  // namespace adder::kernels::testing
