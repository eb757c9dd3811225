// Traps of memory that others fill (docs/paging.md has the table of all of them and their tests).
#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <vector>

#include "onecopy/store.hpp"
#include "support/lazy.hpp"

namespace {

using namespace onecopy;
constexpr std::uint64_t MiB = 1u << 20;

// The flags of the mapping that begins at an address, from /proc/self/smaps.
std::string flags_of_mapping(const void* begin) {
  char wanted[32];
  snprintf(wanted, sizeof wanted, "%lx-", reinterpret_cast<unsigned long>(begin));
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.rfind(wanted, 0) == 0) here = true;
    if (here && line.rfind("VmFlags:", 0) == 0) return line;
  }
  return "";
}

TEST(LazyTraps, ACoreDumpLeavesThePagesAlone) {
  // A dump reads every page of a mapping: it would fill all of it, or write zeros for what isn't there.
  auto x = test::numbers(MiB);
  EXPECT_NE(flags_of_mapping(x.data()).find(" dd"), std::string::npos) << flags_of_mapping(x.data());
}

// As one leaves who is killed after he has named an object and before the pager hears of it. One that is held stays.
TEST(LazyTraps, AnObjectThatNoPagerWasToldOfIsCollected) {
  auto x = test::numbers(1000);
  ASSERT_EQ(x[5], 5.0);
  const std::filesystem::path folder = store::directory() + "/lazy";
  std::ifstream file(folder / x.vector().id().text(), std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  const auto name_it = [&, mine = x.vector().id()](const object_id& id) {
    const auto at = bytes.find(std::string(reinterpret_cast<const char*>(mine.bytes.data()), mine.bytes.size()));
    std::string changed = bytes;
    changed.replace(at, id.bytes.size(), reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size());
    std::ofstream(folder / (id.text() + ".new"), std::ios::binary) << changed;
    return folder / id.text();
  };
  const auto held = name_it(object_id::random()), untold = name_it(object_id::random());
  const int lock = open((held.string() + ".new").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(flock(lock, LOCK_SH), 0);
  std::filesystem::rename(held.string() + ".new", held);
  std::filesystem::rename(untold.string() + ".new", untold);
  EXPECT_TRUE(test::soon([&] { return !std::filesystem::exists(untold); }, 60));
  EXPECT_TRUE(std::filesystem::exists(held));
  close(lock);
  EXPECT_TRUE(test::soon([&] { return !std::filesystem::exists(held); }, 60));
  EXPECT_EQ(x[7], 7.0);
}

TEST(LazyTraps, HugePagesAreNotUsed) {
  auto x = test::numbers(MiB);  // one would cover the neighbours of the chunk that was touched
  EXPECT_NE(flags_of_mapping(x.data()).find(" nh"), std::string::npos) << flags_of_mapping(x.data());
}

TEST(LazyTraps, AStrangerWhoReadsTheFileSpoilsNothing) {
  auto x = test::numbers(MiB);
  const std::string path = store::directory() + "/lazy/" + x.vector().id().text();
  const int file = open(path.c_str(), O_RDONLY);
  ASSERT_GE(file, 0);
  std::vector<char> bytes(9 * MiB);
  EXPECT_GT(pread(file, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(8 * MiB));
  close(file);
  EXPECT_EQ(test::wrong_numbers(x.data(), x.size()), 0u);
}

TEST(LazyTraps, ManyThreadsAttachAndTouchWhileOthersGiveBack) {
  auto x = test::numbers(4 * MiB);
  const auto where = x.handle();
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 6; ++t)
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      while (!stop) {
        auto mine = attach_lazy<double>(where);  // a mapping of its own, for a moment
        for (int i = 0; i < 20; ++i) {
          const std::uint64_t at = random() % mine.size();
          wrong += mine[at] != static_cast<double>(at);
        }
      }
    });
  for (int i = 0; i < 40; ++i) {
    x.vector().release(0, x.vector().bytes());
    usleep(20'000);
  }
  stop = true;
  for (auto& one : threads) one.join();
  EXPECT_EQ(wrong, 0u);
}

TEST(LazyTraps, TheAddressSpaceChangesWhileItIsTouched) {
  // The kernel answers UFFDIO_CONTINUE in parts, or with EAGAIN, when mappings come and go meanwhile.
  auto x = test::numbers(4 * MiB);
  std::atomic<bool> stop{false};
  std::vector<std::thread> changers;
  for (int t = 0; t < 2; ++t)
    changers.emplace_back([&] {
      while (!stop) {
        void* made = mmap(nullptr, MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (made == MAP_FAILED) continue;
        mprotect(static_cast<char*>(made) + 4096, 4096, PROT_NONE);
        munmap(made, MiB);
        if (const pid_t child = fork(); child == 0) _exit(0);
        else waitpid(child, nullptr, 0);
      }
    });
  std::uint64_t wrong = 0;
  for (int round = 0; round < 3; ++round) wrong += test::wrong_numbers(x.data(), x.size(), 16);
  stop = true;
  for (auto& one : changers) one.join();
  EXPECT_EQ(wrong, 0u);
}

TEST(LazyTraps, AViewMayGoWhileOthersOfItsProcessWait) {
  auto x = test::numbers(8 * MiB);
  std::atomic<bool> stop{false};
  std::thread views([&] {
    while (!stop) {
      auto view = x.vector().another_view();
      view.prefetch(0, view.bytes());  // the pager fills for a mapping that is gone by then
    }
  });
  EXPECT_EQ(test::wrong_numbers(x.data(), x.size(), 8), 0u);
  stop = true;
  views.join();
}

TEST(LazyTraps, WhoWaitsCanStillBeKilled) {
  auto x = lazy<double>(MiB, lazy_source::program({"/bin/sleep", "1000"}, "", "nothing"), {.deadline_seconds = 60});
  const pid_t child = test::in_child([&] {
    const volatile double seen = x[500'000];
    return seen == 0 ? 1 : 2;
  });
  usleep(300'000);
  EXPECT_EQ(kill(child, SIGTERM), 0);
  EXPECT_EQ(test::outcome_of(child, 10), -SIGTERM);
}

TEST(LazyTraps, MoreObjectsThanThePagerMayAtFirstHaveDescriptors) {
  const int outcome = test::outcome_of(test::in_child([] {
    test::scratch_folder other;
    setenv("ONECOPY_DIR", (other / "store").c_str(), 1);
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < 1000) return 8;
    limit.rlim_cur = 100;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return 9;
    std::vector<lazy_array<double>> many;
    for (int i = 0; i < 300; ++i) many.push_back(test::numbers(10'000));
    for (auto& one : many)
      if (one[9'000] != 9'000.0) return 1;
    return 0;
  }), 90);
  EXPECT_EQ(outcome, 0);
}

TEST(LazyTraps, OtherUsersReachNeitherThePagerNorTheBytes) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can try as somebody else";
  auto x = test::numbers(MiB);
  EXPECT_EQ(x[5], 5.0);
  const std::string folder = store::directory() + "/lazy";
  const auto where = x.handle();
  const int outcome = test::outcome_of(test::in_child([&] {
    if (setgroups(0, nullptr) != 0 || setgid(65534) != 0 || setuid(65534) != 0) return 9;
    const int socket_number = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    sockaddr_un name{AF_UNIX, {}};
    strncpy(name.sun_path, (folder + "/pager.socket").c_str(), sizeof name.sun_path - 1);
    if (connect(socket_number, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0) return 1;
    if (open((folder + "/" + where.id.text()).c_str(), O_RDONLY) >= 0) return 2;
    try {
      (void)attach_lazy<double>(where);
      return 3;
    } catch (const error&) {
      return 0;
    }
  }));
  EXPECT_EQ(outcome, 0);
  EXPECT_EQ(x[900'000], 900'000.0);
}

}  // namespace
