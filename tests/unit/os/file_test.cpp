#include "os/file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <vector>

#include "support/scratch.hpp"

namespace {

using namespace onecopy;

std::vector<std::byte> numbered(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 251);
  return bytes;
}

class File : public testing::Test {
 protected:
  os::fd make(const std::string& name) {
    auto made = os::open_file(folder / name, O_RDWR | O_CREAT | O_EXCL, 0600);
    EXPECT_TRUE(made.ok());
    return *std::move(made);
  }
  test::scratch_folder folder;
};

TEST_F(File, DescriptorIsClosedOnceAndByItsLastOwner) {
  os::fd first = make("a");
  const int number = first.get();
  os::fd second = std::move(first);
  EXPECT_FALSE(first.valid());
  EXPECT_EQ(second.get(), number);
  EXPECT_NE(fcntl(number, F_GETFD), -1);
  second.reset();
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

TEST_F(File, MovingADescriptorToItselfKeepsIt) {
  os::fd own = make("a");
  os::fd& same = own;
  own = std::move(same);
  EXPECT_TRUE(own.valid());
  EXPECT_NE(fcntl(own.get(), F_GETFD), -1);
}

TEST_F(File, ClosingKeepsErrno) {
  os::fd own = make("a");
  errno = ENOTTY;
  own.reset();
  EXPECT_EQ(errno, ENOTTY);
}

TEST_F(File, DescriptorsAreNotInheritedByNewPrograms) {
  EXPECT_TRUE(fcntl(make("a").get(), F_GETFD) & FD_CLOEXEC);
}

TEST_F(File, OpeningNothingSaysNotFoundAndWhat) {
  auto missing = os::open_file(folder / "nothing", O_RDONLY);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.reason().kind, error_kind::not_found);
  EXPECT_NE(missing.reason().tried.find("nothing"), std::string::npos);
}

TEST_F(File, WritesAndReadsAtOffsets) {
  const auto bytes = numbered(100'000);
  os::fd own = make("a");
  ASSERT_TRUE(os::write_at(own.get(), bytes, 12345).ok());
  std::vector<std::byte> back(bytes.size());
  ASSERT_TRUE(os::read_at(own.get(), back, 12345).ok());
  EXPECT_EQ(back, bytes);
}

TEST_F(File, ReadingPastTheEndSaysCorrupt) {
  os::fd own = make("a");
  ASSERT_TRUE(os::write_at(own.get(), numbered(10), 0).ok());
  std::vector<std::byte> back(11);
  auto got = os::read_at(own.get(), back, 0);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.reason().kind, error_kind::corrupt);
}

TEST_F(File, WritingToAReadOnlyDescriptorFails) {
  make("a");
  auto own = os::open_file(folder / "a", O_RDONLY);
  ASSERT_TRUE(own.ok());
  EXPECT_FALSE(os::write_at(own->get(), numbered(1), 0).ok());
}

TEST_F(File, ReservingGrowsTheFileAndKeepsWhatItHas) {
  os::fd own = make("a");
  ASSERT_TRUE(os::write_at(own.get(), numbered(10), 0).ok());
  ASSERT_TRUE(os::reserve(own.get(), 0, 1'000'000).ok());
  EXPECT_EQ(os::status_of(own.get(), "a")->st_size, 1'000'000);
  std::vector<std::byte> back(10);
  ASSERT_TRUE(os::read_at(own.get(), back, 0).ok());
  EXPECT_EQ(back, numbered(10));
}

TEST_F(File, ReservingTheImpossibleIsAFailure) {
  os::fd own = make("a");
  EXPECT_FALSE(os::reserve(own.get(), 0, std::uint64_t{1} << 62).ok());
  EXPECT_FALSE(os::reserve(own.get(), 0, ~std::uint64_t{0}).ok());
}

TEST_F(File, StatusDoesNotFollowLinks) {
  auto directory = os::open_file(folder.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(directory.ok());
  ASSERT_EQ(symlink("/etc/passwd", (folder / "link").c_str()), 0);
  auto info = os::status_at(directory->get(), "link");
  ASSERT_TRUE(info.ok() && *info);
  EXPECT_TRUE(S_ISLNK((*info)->st_mode));
  auto missing = os::status_at(directory->get(), "nothing");
  ASSERT_TRUE(missing.ok());
  EXPECT_FALSE(*missing);
  auto target = os::read_link(directory->get(), "link");
  ASSERT_TRUE(target.ok() && *target);
  EXPECT_EQ(**target, "/etc/passwd");
  auto none = os::read_link(directory->get(), "nothing");
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(*none);
}

TEST_F(File, LocksOfTwoDescriptionsExcludeEachOther) {
  os::fd first = make("a");
  auto second = os::open_file(folder / "a", O_RDWR);
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(*os::try_lock_shared(first.get()));
  EXPECT_TRUE(*os::try_lock_shared(second->get()));
  EXPECT_FALSE(*os::try_lock_exclusive(second->get())) << "another one still holds a shared lock";
  os::unlock(first.get());
  EXPECT_TRUE(*os::try_lock_exclusive(second->get()));
  EXPECT_FALSE(*os::try_lock_shared(first.get()));
}

TEST_F(File, NobodyWaitsForALockWithoutAnEnd) {
  os::fd first = make("a");
  auto second = os::open_file(folder / "a", O_RDWR);
  ASSERT_TRUE(*os::try_lock_exclusive(first.get()));
  auto waited = os::lock_exclusive(second->get(), 0.02, "the thing");
  ASSERT_FALSE(waited.ok());
  EXPECT_EQ(waited.reason().kind, error_kind::busy);
  EXPECT_NE(waited.reason().tried.find("the thing"), std::string::npos);
  first.reset();
  EXPECT_TRUE(os::lock_exclusive(second->get(), 5, "the thing").ok());
}

TEST_F(File, ListsEveryEntryAndStopsWhenAsked) {
  std::set<std::string> made;
  for (int i = 0; i < 300; ++i) {
    make("entry" + std::to_string(i));
    made.insert("entry" + std::to_string(i));
  }
  auto directory = os::open_file(folder.path(), O_RDONLY | O_DIRECTORY);
  for (int again = 0; again < 2; ++again) {
    std::set<std::string> seen;
    ASSERT_TRUE(os::for_each_entry(directory->get(), [&](const char* name) { return seen.insert(name), true; }).ok());
    EXPECT_EQ(seen, made) << "also the second time, with the same descriptor";
  }
  int visits = 0;
  ASSERT_TRUE(os::for_each_entry(directory->get(), [&](const char*) { return ++visits < 3; }).ok());
  EXPECT_EQ(visits, 3);
}

TEST_F(File, ListingAFileIsAFailure) {
  os::fd own = make("a");
  EXPECT_FALSE(os::for_each_entry(own.get(), [](const char*) { return true; }).ok());
}

TEST_F(File, ReadsSmallFilesWhole) {
  os::fd own = make("a");
  const auto bytes = numbered(10'000);
  ASSERT_TRUE(os::write_at(own.get(), bytes, 0).ok());
  auto text = os::read_whole(folder / "a");
  ASSERT_TRUE(text.ok());
  EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(*text)), bytes));
  EXPECT_FALSE(os::read_whole(folder / "nothing").ok());
  EXPECT_FALSE(os::read_whole(folder.path()).ok()) << "a directory";
}

TEST_F(File, SpaceOfTheScratchFolder) {
  auto space = os::space_of(folder.path());
  ASSERT_TRUE(space.ok());
  EXPECT_TRUE(space->is_tmpfs);
  EXPECT_GE(space->total, space->available);
  EXPECT_FALSE(os::space_of(folder / "nothing").ok());
}

}  // namespace
