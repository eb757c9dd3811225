// Too little of everything: room in the store, inodes, descriptors, mappings, address space.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/forked.hpp"
#include "support/peers.hpp"

namespace {

using namespace onecopy;
using test::child, test::is_ok, test::is_error, test::peer, test::word;

void write_text(const char* path, const std::string& text) { std::ofstream(path) << text; }

// A mount namespace of this program's own, so that nothing it mounts is seen by others or outlives it.
bool in_own_namespace() {
  static const bool done = [] {
    const auto user = geteuid(), group = getegid();
    if (unshare(CLONE_NEWNS) != 0) {
      if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
      write_text("/proc/self/setgroups", "deny");
      write_text("/proc/self/uid_map", std::to_string(user) + " " + std::to_string(user) + " 1");
      write_text("/proc/self/gid_map", std::to_string(group) + " " + std::to_string(group) + " 1");
    }
    return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  }();
  return done;
}

class SmallStore : public testing::Test {
 protected:
  void mount_with(const std::string& options) {
    if (!in_own_namespace()) GTEST_SKIP() << "needs root, or user namespaces, to mount a small tmpfs";
    if (mount("tmpfs", folder.path().c_str(), "tmpfs", 0, options.c_str()) != 0)
      GTEST_SKIP() << "can't mount a tmpfs here: " << std::strerror(errno);
    mounted = true;
  }
  void TearDown() override {
    if (mounted) umount2(folder.path().c_str(), MNT_DETACH);
  }
  child start() { return peer({{"ONECOPY_DIR", folder / "store"}}); }
  std::set<std::string> left() { return test::contents(folder / "store"); }
  test::scratch_folder folder;
  bool mounted = false;
};

TEST_F(SmallStore, TooLargeAnObjectGoesToMemoryAndStillAttaches) {
  mount_with("size=1m");
  if (!mounted) return;
  child creator = start(), reader = start(), late = start();
  const std::string answer = creator.ask("share a 7 1000000");
  ASSERT_TRUE(is_ok(answer)) << answer;
  EXPECT_EQ(word(answer, 2), "memfd");
  const std::string handle = word(answer);
  EXPECT_EQ(reader.ask("attach b " + handle), "ok 7");
  EXPECT_EQ(reader.ask("exists " + handle), "ok yes");
  EXPECT_EQ(reader.ask("list"), "ok 1");
  EXPECT_EQ(reader.ask("holders b"), "ok 2");
  EXPECT_EQ(reader.ask("collect"), "ok 0");
  creator.kill();
  EXPECT_EQ(reader.ask("collect"), "ok 0");
  EXPECT_EQ(late.ask("attach c " + handle), "ok 7") << "any holder will do";
  reader.kill();
  EXPECT_EQ(late.ask("check"), "ok 1");
  EXPECT_TRUE(is_ok(late.ask("drop all")));
  EXPECT_EQ(late.ask("exists " + handle), "ok no");
  late.ask("collect");
  EXPECT_EQ(left(), std::set<std::string>());
}

TEST_F(SmallStore, AnotherContainerDoesNotTakeALivingObjectInMemoryForDead) {
  mount_with("size=1m");
  if (!mounted) return;
  child creator = start(), reader = start();
  const std::string handle = word(creator.ask("share a 7 1000000"));
  test::forked container([&] {
    setenv("ONECOPY_DIR", (folder / "store").c_str(), 1);
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) return 77;
    // Its first process is its own number 1, and its /proc knows none of the others.
    test::forked inside([] {
      if (mount("proc", "/proc", "proc", 0, nullptr) != 0) return 77;
      store::collect();
      return 0;
    });
    return inside.wait();
  });
  const int status = container.wait();
  if (status == 77) GTEST_SKIP() << "can't make a pid namespace with its /proc here";
  EXPECT_EQ(status, 0);
  EXPECT_EQ(reader.ask("attach b " + handle), "ok 7");
  EXPECT_TRUE(is_ok(reader.ask("drop all")));
  EXPECT_TRUE(is_ok(creator.ask("drop all")));
  EXPECT_EQ(left(), std::set<std::string>());
}

TEST_F(SmallStore, NamesReachObjectsInMemory) {
  mount_with("size=1m");
  if (!mounted) return;
  child creator = start(), reader = start();
  ASSERT_TRUE(is_ok(creator.ask("share a 7 1000000 name=big")));
  EXPECT_EQ(reader.ask("attach b big"), "ok 7");
  EXPECT_TRUE(is_error(reader.ask("share c 8 1000000 name=big"), "exists"));
  EXPECT_TRUE(is_ok(reader.ask("drop all")));
  EXPECT_TRUE(is_ok(creator.ask("drop all")));
  EXPECT_TRUE(is_error(reader.ask("attach b big"), "not_found"));
  reader.ask("collect");
  EXPECT_EQ(left(), std::set<std::string>());
}

TEST_F(SmallStore, AForkedChildDoesNotTakeTheObjectAlong) {
  mount_with("size=1m");
  if (!mounted) return;
  child creator = start(), reader = start();
  const std::string handle = word(creator.ask("share a 7 1000000"));
  EXPECT_EQ(creator.ask("fork drop all"), "ok 0");
  EXPECT_EQ(reader.ask("attach b " + handle), "ok 7");
}

TEST_F(SmallStore, ACollectorWithoutDescriptorsDoesNotTakeObjectsForDead) {
  mount_with("size=1m");
  if (!mounted) return;
  child creator = start(), reader = start(), poor = start();
  const std::string handle = word(creator.ask("share a 7 1000000"));
  ASSERT_TRUE(is_ok(poor.ask("list")));
  for (int most = 4; most < 12; ++most) {
    poor.ask("limit descriptors " + std::to_string(most));
    poor.ask("collect");
    ASSERT_EQ(reader.ask("attach b " + handle), "ok 7") << most;
    ASSERT_TRUE(is_ok(reader.ask("drop b")));
  }
}

TEST_F(SmallStore, LeftoversMakeRoom) {
  mount_with("size=4m");
  if (!mounted) return;
  child killed = start(), next = start();
  ASSERT_EQ(word(killed.ask("share a 7 400000"), 2), "store");
  killed.kill();
  EXPECT_EQ(word(next.ask("share b 8 400000"), 2), "store") << "the leftover of the killed one was collected";
}

TEST_F(SmallStore, AFullFileSystemIsNoSignal) {
  mount_with("size=1m");
  if (!mounted) return;
  child early = start(), other = start();
  const std::string small = word(early.ask("share a 1 1000"));
  {
    std::ofstream filler(folder / "filler", std::ios::binary);
    const std::string block(4096, 'x');
    while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {}
  }
  ASSERT_EQ(std::filesystem::space(folder.path()).available, 0u);
  EXPECT_EQ(other.ask("attach b " + small), "ok 1") << "attaching needs no room";
  for (const char* command : {"share c 2 10", "share d 3 100000", "share e 4 10 name=full", "share f 5 10 keep"}) {
    const std::string answer = other.ask(command);
    EXPECT_TRUE(is_ok(answer) || is_error(answer, "no_space")) << command << ": " << answer;
    EXPECT_TRUE(!is_ok(answer) || word(answer, 2) == "memfd") << answer;
  }
  EXPECT_TRUE(is_ok(other.ask("check")));
  EXPECT_TRUE(is_ok(other.ask("drop all")));
  std::filesystem::remove(folder / "filler");
  EXPECT_EQ(word(other.ask("share g 6 10000"), 2), "store") << "room again";
  EXPECT_TRUE(is_ok(other.ask("check")));
}

TEST_F(SmallStore, FillingUpWhileOthersWrite) {
  mount_with("size=1m");
  if (!mounted) return;
  std::vector<child> all;
  for (int i = 0; i < 6; ++i) all.push_back(start());
  for (int round = 0; round < 10; ++round) {
    for (auto& each : all) each.send("share a 7 60000");
    for (auto& each : all) {
      const std::string answer = each.receive();
      EXPECT_TRUE(is_ok(answer)) << answer;
    }
    for (auto& each : all) EXPECT_EQ(each.ask("check"), "ok 1");
    for (auto& each : all) EXPECT_TRUE(is_ok(each.ask("drop all")));
  }
  EXPECT_EQ(all[0].ask("list"), "ok 0");
}

TEST_F(SmallStore, WithoutInodesItIsAClearError) {
  mount_with("size=1m,nr_inodes=8");
  if (!mounted) return;
  child one = start();
  ASSERT_TRUE(is_ok(one.ask("list")));
  std::string answer;
  for (int i = 0; i < 20; ++i) {
    answer = one.ask("share s" + std::to_string(i) + " 1 100 name=n" + std::to_string(i));
    if (!is_ok(answer)) break;
  }
  EXPECT_TRUE(is_error(answer, "no_space")) << answer;
  EXPECT_TRUE(is_ok(one.ask("check")));
  EXPECT_TRUE(is_ok(one.ask("drop all")));
  EXPECT_TRUE(is_ok(one.ask("share again 1 100")));
  EXPECT_TRUE(is_ok(one.ask("drop all")));
  EXPECT_EQ(left(), std::set<std::string>());
}

class Limits : public testing::Test {
 protected:
  void TearDown() override {
    store::collect();
    EXPECT_EQ(test::contents(store::directory()), std::set<std::string>());
  }
};

TEST_F(Limits, ObjectsNeedNoDescriptors) {
  child one = peer();
  ASSERT_TRUE(is_ok(one.ask("limit descriptors 64")));
  EXPECT_EQ(one.ask("many 2000 100"), "ok 2000");
  EXPECT_EQ(one.ask("check"), "ok 2000");
  EXPECT_LE(std::stoi(word(one.ask("descriptors"))), 16);
  EXPECT_TRUE(is_ok(one.ask("drop all")));
  EXPECT_EQ(one.ask("list"), "ok 0");
}

TEST_F(Limits, AttachedObjectsNeedNoDescriptors) {
  child one = peer(), two = peer();
  ASSERT_TRUE(is_ok(two.ask("limit descriptors 64")));
  for (int i = 0; i < 200; ++i) {
    const std::string slot = std::to_string(i);
    const std::string handle = word(one.ask("share a" + slot + " 1 5000"));
    ASSERT_EQ(two.ask("attach a" + slot + " " + handle), "ok 1") << i;
    if (i % 3 != 0) continue;
    ASSERT_TRUE(is_ok(two.ask("write a" + slot)));
    ASSERT_EQ(two.ask("diverged a" + slot), "ok yes");
  }
  EXPECT_LE(std::stoi(word(two.ask("descriptors"))), 16);
}

TEST_F(Limits, OutOfDescriptorsIsAClearErrorAndPasses) {
  child one = peer(), two = peer();
  const std::string handle = word(two.ask("share z 9 1000"));
  ASSERT_TRUE(is_ok(one.ask("share a 1 1000")));
  const int in_use = std::stoi(word(one.ask("descriptors"))) - 3;  // ".", ".." and the one that lists
  for (int spare = 0; spare < 8; ++spare) {
    ASSERT_TRUE(is_ok(one.ask("limit descriptors " + std::to_string(in_use + spare))));
    for (const std::string& command : {std::string("share b 2 1000"), "attach c " + handle, std::string("list"),
                                       std::string("collect"), std::string("share d 2 10 name=poor"),
                                       std::string("drop b c d")}) {
      const std::string answer = one.ask(command);
      const bool clear = is_error(answer, "system") && answer.find("open files") != answer.npos;
      EXPECT_TRUE(is_ok(answer) || clear || is_error(answer, "exists")) << command << ": " << answer;
    }
    EXPECT_EQ(two.ask("check"), "ok 1");
    EXPECT_EQ(two.ask("attach z " + handle), "ok 9");
  }
  ASSERT_TRUE(is_ok(one.ask("limit descriptors 256")));
  EXPECT_EQ(one.ask("attach c " + handle), "ok 9");
  EXPECT_TRUE(is_ok(one.ask("share b 2 1000")));
}

TEST_F(Limits, OutOfMappingsIsAClearErrorAndPasses) {
  child one = peer(), two = peer();
  const std::string handle = word(two.ask("share z 9 1000"));
  ASSERT_TRUE(is_ok(one.ask("share a 1 1000")));
  ASSERT_TRUE(is_ok(one.ask("maps 40")));
  std::string answer;
  for (int i = 0; i < 60; ++i) {
    answer = one.ask("share b" + std::to_string(i) + " 2 1000");
    if (!is_ok(answer)) break;
  }
  EXPECT_TRUE(is_error(answer, "no_memory")) << answer;
  EXPECT_NE(answer.find("max_map_count"), std::string::npos) << answer;
  EXPECT_TRUE(is_error(one.ask("attach c " + handle), "no_memory"));
  EXPECT_TRUE(is_ok(one.ask("check")));
  EXPECT_TRUE(is_ok(one.ask("drop b0 b1 b2")));
  EXPECT_EQ(one.ask("attach c " + handle), "ok 9");
  EXPECT_EQ(two.ask("check"), "ok 1");
}

TEST_F(Limits, OutOfAddressSpaceIsAClearErrorAndPasses) {
  child one = peer(), two = peer();
  const std::string handle = word(two.ask("share z 9 60000000"));
  ASSERT_TRUE(is_ok(one.ask("share a 1 1000")));
  ASSERT_TRUE(is_ok(one.ask("limit address " + std::to_string(300 << 20))));
  const std::string answer = one.ask("attach c " + handle);
  EXPECT_TRUE(is_error(answer, "no_memory")) << answer;
  EXPECT_EQ(one.ask("check"), "ok 1");
  EXPECT_TRUE(is_ok(one.ask("share b 2 1000")));
  EXPECT_EQ(two.ask("check"), "ok 1");
}

}  // namespace
