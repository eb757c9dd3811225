#include "os/system.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <regex>
#include <set>

#include "base/arithmetic.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;

TEST(System, RandomBytesDiffer) {
  std::set<std::array<std::uint8_t, 16>> seen;
  for (int i = 0; i < 1000; ++i) {
    std::array<std::uint8_t, 16> id{};
    os::random_bytes(id);
    EXPECT_TRUE(seen.insert(id).second);
  }
}

TEST(System, HostIdentityIsStableHex) {
  EXPECT_TRUE(std::regex_match(os::host_identity(), std::regex("[0-9a-f]{16}")));
  EXPECT_EQ(os::host_identity(), os::host_identity());
}

TEST(System, EnvironmentThatIsNotSetIsEmpty) {
  unsetenv("ONECOPY_TEST_VARIABLE");
  EXPECT_EQ(os::environment("ONECOPY_TEST_VARIABLE"), "");
  setenv("ONECOPY_TEST_VARIABLE", "a b", 1);
  EXPECT_EQ(os::environment("ONECOPY_TEST_VARIABLE"), "a b");
}

TEST(System, LimitsArePlausible) {
  EXPECT_GE(os::mapping_limit(), 1000u);
  EXPECT_GE(os::descriptor_limit(), 16u);
  EXPECT_GT(os::wall_clock(), 1.6e9);
}

class Locks : public testing::Test {
 protected:
  void SetUp() override {
    if (access("/proc/locks", R_OK) != 0) GTEST_SKIP() << "this machine has no /proc/locks";
    auto made = os::open_file(folder / "a", O_RDWR | O_CREAT, 0600);
    ASSERT_TRUE(made.ok());
    file = *std::move(made);
    ASSERT_TRUE(os::reserve(file.get(), 0, page_size).ok());
    info = *os::status_of(file.get(), "a");
  }
  std::size_t count() { return os::count_locks(info.st_dev, info.st_ino); }
  test::scratch_folder folder;
  os::fd file;
  struct stat info {};
};

TEST_F(Locks, AreCountedByInode) {
  EXPECT_EQ(count(), 0u);
  auto other = os::open_file(folder / "a", O_RDONLY);
  ASSERT_TRUE(*os::try_lock_shared(file.get()));
  EXPECT_EQ(count(), 1u);
  ASSERT_TRUE(*os::try_lock_shared(other->get()));
  EXPECT_EQ(count(), 2u);
  os::unlock(file.get());
  EXPECT_EQ(count(), 1u);
  EXPECT_EQ(os::count_locks(info.st_dev, info.st_ino + 1'000'000), 0u);
}

// The fact that the whole of docs/lifetime.md rests on.
TEST_F(Locks, AMappingHoldsTheLockOfItsClosedDescriptor) {
  auto reader = os::open_file(folder / "a", O_RDONLY);
  ASSERT_TRUE(*os::try_lock_shared(reader->get()));
  auto held = os::mapping::map(reader->get(), 0, page_size, os::map_mode::private_pages);
  ASSERT_TRUE(held.ok());
  reader->reset();
  EXPECT_EQ(count(), 1u);
  EXPECT_FALSE(*os::try_lock_exclusive(file.get()));
  *held = os::mapping();
  EXPECT_EQ(count(), 0u);
  EXPECT_TRUE(*os::try_lock_exclusive(file.get()));
}

TEST_F(Locks, AKilledProcessLetsGo) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto reader = os::open_file(folder / "a", O_RDONLY);
    if (!*os::try_lock_shared(reader->get())) _exit(1);
    auto held = os::mapping::map(reader->get(), 0, page_size, os::map_mode::private_pages);
    reader->reset();
    if (write(ready[1], "x", 1) != 1) _exit(2);
    for (;;) pause();
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_FALSE(*os::try_lock_exclusive(file.get()));
  kill(child, SIGKILL);
  int how = 0;
  waitpid(child, &how, 0);
  EXPECT_TRUE(*os::try_lock_exclusive(file.get()));
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
