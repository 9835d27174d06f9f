#include "adder/base/cgroup.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace adder {
namespace {

namespace fs = std::filesystem;

class Cgroup : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "adder-cgroup-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { fs::remove_all(root_); }
  void put(const std::string& name, const std::string& text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }

  fs::path root_;
};

TEST_F(Cgroup, NothingToReadIsNoLimit) {
  EXPECT_EQ(cgroup_processors(root_), 0);
  put("proc/self/cgroup", "12:cpu:/x\n0::/\n");
  put("sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_processors(root_), 0);
  put("sys/fs/cgroup/cpu.max", "");
  EXPECT_EQ(cgroup_processors(root_), 0);
}

TEST_F(Cgroup, TheQuotaOfAContainer) {
  put("proc/self/cgroup", "0::/\n");
  put("sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(cgroup_processors(root_), 2);
  put("sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(cgroup_processors(root_), 2);
  put("sys/fs/cgroup/cpu.max", "1000 100000\n");
  EXPECT_EQ(cgroup_processors(root_), 1);
}

TEST_F(Cgroup, TheTightestOfTheGroupsAbove) {
  put("proc/self/cgroup", "1:memory:/other\n0::/a/b\n");
  put("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
  put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_processors(root_), 3);
  put("sys/fs/cgroup/a/b/cpu.max", "200000 50000\n");
  EXPECT_EQ(cgroup_processors(root_), 3);
  put("sys/fs/cgroup/a/b/cpu.max", "50000 50000\n");
  EXPECT_EQ(cgroup_processors(root_), 1);
}

}  // namespace
}  // namespace adder
