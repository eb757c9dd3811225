// Store directories that are not what they should be, and handles of other stores.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/peers.hpp"

namespace {

using namespace onecopy;
using test::child, test::is_ok, test::is_error, test::peer, test::word;

class Directory : public testing::Test {
 protected:
  test::scratch_folder folder;
  const std::string path = folder / "here";
  child at(const std::string& directory) { return peer({{"ONECOPY_DIR", directory}}); }
  std::string share() { return at(path).ask("share a 1 100"); }
};

TEST_F(Directory, IsMadeWhenItIsNotThere) {
  EXPECT_TRUE(is_ok(share()));
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms::owner_all);
}

TEST_F(Directory, IsMadePrivateUnderAnyUmask) {
  const mode_t before = umask(0);
  EXPECT_TRUE(is_ok(share()));
  umask(before);
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms::owner_all);
}

TEST_F(Directory, OpenToOthersIsRefused) {
  for (const mode_t mode : {0777u, 0770u, 0701u, 0710u, 0720u, 01777u}) {
    std::filesystem::create_directory(path);
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    const std::string answer = share();
    EXPECT_TRUE(is_error(answer, "permission")) << std::oct << mode << ": " << answer;
    EXPECT_NE(answer.find("chmod 700"), std::string::npos) << answer;
    EXPECT_TRUE(std::filesystem::is_empty(path)) << "nothing is written there";
    std::filesystem::remove_all(path);
  }
}

TEST_F(Directory, OfSomebodyElseIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  std::filesystem::create_directory(path);
  ASSERT_EQ(chmod(path.c_str(), 0700), 0);
  ASSERT_EQ(chown(path.c_str(), 12345, 12345), 0);
  const std::string answer = share();
  EXPECT_TRUE(is_error(answer, "permission")) << answer;
  EXPECT_NE(answer.find("12345"), std::string::npos) << answer;
  EXPECT_NE(answer.find("ONECOPY_DIR"), std::string::npos) << "the remedy: " << answer;
}

TEST_F(Directory, ALinkIsRefused) {
  std::filesystem::create_directory(folder / "elsewhere");
  ASSERT_EQ(chmod((folder / "elsewhere").c_str(), 0700), 0);
  std::filesystem::create_symlink(folder / "elsewhere", path);
  const std::string answer = share();
  EXPECT_TRUE(is_error(answer, "permission")) << answer;
  EXPECT_TRUE(std::filesystem::is_empty(folder / "elsewhere"));
}

TEST_F(Directory, ALinkToNothingIsRefused) {
  std::filesystem::create_symlink(folder / "nothing", path);
  EXPECT_TRUE(is_error(share(), "permission"));
  EXPECT_FALSE(std::filesystem::exists(folder / "nothing"));
}

TEST_F(Directory, AFileIsRefused) {
  { std::ofstream(path) << "hello"; }
  EXPECT_TRUE(is_error(share(), "permission"));
  EXPECT_EQ(std::filesystem::file_size(path), 5u);
}

TEST_F(Directory, InsideNothingIsAnError) {
  const std::string answer = at(folder / "nothing/here").ask("share a 1 100");
  EXPECT_TRUE(is_error(answer, "not_found")) << answer;
  EXPECT_NE(answer.find("ONECOPY_DIR"), std::string::npos) << answer;
}

TEST_F(Directory, OnAReadOnlyFileSystemIsAnError) {
  const std::string answer = at("/proc/here").ask("share a 1 100");
  EXPECT_EQ(answer.rfind("error ", 0), 0u) << answer;
}

TEST_F(Directory, RemovedByHandIsMadeAgain) {
  child one = at(path);
  ASSERT_TRUE(is_ok(one.ask("share a 1 100")));
  std::filesystem::remove_all(path);
  EXPECT_EQ(one.ask("check"), "ok 1") << "what is mapped stays";
  const std::string again = one.ask("share b 2 100");
  EXPECT_TRUE(is_ok(again)) << again;
  EXPECT_EQ(at(path).ask("attach c " + word(again)), "ok 2");
  EXPECT_TRUE(is_ok(one.ask("drop all")));
}

TEST_F(Directory, OnDiskWorksToo) {
  test::scratch_folder disk("/tmp");
  child one = at(disk / "store"), two = at(disk / "store");
  const std::string handle = word(one.ask("share a 5 100000"));
  EXPECT_EQ(two.ask("attach b " + handle), "ok 5");
  one.kill();
  EXPECT_EQ(two.ask("check"), "ok 1");
  EXPECT_TRUE(is_ok(two.ask("drop all")));
  EXPECT_EQ(test::contents(disk / "store"), std::set<std::string>());
}

TEST_F(Directory, HandlesOfAnotherStoreSaySo) {
  child one = at(path), two = at(folder / "other");
  const std::string handle = word(one.ask("share a 1 100"));
  const std::string answer = two.ask("attach b " + handle);
  EXPECT_TRUE(is_error(answer, "wrong_host")) << answer;
  EXPECT_NE(answer.find("other"), std::string::npos) << "it names the store that was asked: " << answer;
}

TEST_F(Directory, HandlesOfAnotherHostSaySo) {
  child one = at(path);
  std::string handle = word(one.ask("share a 1 100"));
  ASSERT_TRUE(is_ok(one.ask("drop a")));
  handle.replace(10, 16, "0000000000000000");
  const std::string answer = one.ask("attach b " + handle);
  EXPECT_TRUE(is_error(answer, "wrong_host")) << answer;
}

TEST_F(Directory, GarbageFromTheWireBreaksNothing) {
  child one = at(path);
  for (const char* garbage : {"onecopy:", "onecopy:1:a:b:c", "onecopy:1:::", "onecopy:999999999999", "\x01\x02"}) {
    const std::string answer = one.ask(std::string("attach b ") + garbage);
    EXPECT_EQ(answer.rfind("error ", 0), 0u) << answer;
  }
  EXPECT_TRUE(is_ok(one.ask("share a 1 100"))) << "the channel goes on";
}

}  // namespace
