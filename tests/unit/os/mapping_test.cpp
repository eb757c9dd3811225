#include "os/mapping.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <vector>

#include "base/arithmetic.hpp"
#include "os/file.hpp"
#include "os/memfd.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using os::map_mode, os::mapping;

class Mapping : public testing::Test {
 protected:
  static constexpr std::size_t pages = 64;
  void SetUp() override {
    auto made = os::open_file(folder / "bytes", O_RDWR | O_CREAT, 0600);
    ASSERT_TRUE(made.ok());
    file = *std::move(made);
    std::vector<std::byte> bytes(pages * page_size, std::byte{7});
    ASSERT_TRUE(os::write_at(file.get(), bytes, 0).ok());
  }
  mapping map(map_mode mode) {
    auto made = mapping::map(file.get(), 0, pages * page_size, mode);
    EXPECT_TRUE(made.ok());
    return *std::move(made);
  }
  std::byte in_file(std::uint64_t offset) {
    std::byte byte{};
    EXPECT_TRUE(os::read_at(file.get(), {&byte, 1}, offset).ok());
    return byte;
  }
  test::scratch_folder folder;
  os::fd file;
};

TEST_F(Mapping, PrivatePagesAreSeenByTheirOwnerOnly) {
  mapping mine = map(map_mode::private_pages), other = map(map_mode::private_pages);
  ASSERT_TRUE(mine.writable());
  mine.data()[5000] = std::byte{9};
  EXPECT_EQ(mine.data()[5000], std::byte{9});
  EXPECT_EQ(other.data()[5000], std::byte{7});
  EXPECT_EQ(in_file(5000), std::byte{7});
}

TEST_F(Mapping, PrivatePagesOfAReadOnlyDescriptor) {
  auto reader = os::open_file(folder / "bytes", O_RDONLY);
  auto made = mapping::map(reader->get(), 0, page_size, map_mode::private_pages);
  ASSERT_TRUE(made.ok());
  made->data()[0] = std::byte{9};
  EXPECT_EQ(in_file(0), std::byte{7});
  EXPECT_FALSE(mapping::map(reader->get(), 0, page_size, map_mode::shared).ok())
      << "what was opened for reading can't be mapped for shared writing";
}

TEST_F(Mapping, SharedWritesReachTheFileAndOthers) {
  mapping mine = map(map_mode::shared), other = map(map_mode::read_only);
  mine.data()[5000] = std::byte{9};
  EXPECT_EQ(other.data()[5000], std::byte{9});
  EXPECT_EQ(in_file(5000), std::byte{9});
  EXPECT_FALSE(other.writable());
}

TEST_F(Mapping, ReadOnlyBecomesWritableWithPrivatePages) {
  mapping mine = map(map_mode::read_only);
  ASSERT_TRUE(mine.make_writable().ok());
  EXPECT_TRUE(mine.writable());
  mine.data()[0] = std::byte{9};
  EXPECT_EQ(in_file(0), std::byte{7});
}

TEST_F(Mapping, CountsThePagesThatWereWritten) {
  mapping mine = map(map_mode::private_pages);
  const std::size_t size = pages * page_size;
  EXPECT_EQ(*os::private_bytes(mine.data(), size), 0u) << "nothing was touched";
  for (std::size_t i = 0; i < size; i += page_size) EXPECT_EQ(mine.data()[i], std::byte{7});
  EXPECT_EQ(*os::private_bytes(mine.data(), size), 0u) << "reading makes no copies";
  for (const std::size_t page : {3u, 10u, 11u, 63u}) mine.data()[page * page_size] = std::byte{9};
  EXPECT_EQ(*os::private_bytes(mine.data(), size), 4 * page_size);
  EXPECT_EQ(*os::private_bytes(mine.data() + 10 * page_size, 2 * page_size), 2 * page_size);
  EXPECT_EQ(*os::private_bytes(mine.data() + 12 * page_size, 50 * page_size), 0u);
  EXPECT_EQ(*os::private_bytes(mine.data() + 63 * page_size, 1), page_size) << "part of a page counts as the page";
}

// More separate runs than one answer of the kernel holds.
TEST_F(Mapping, CountsManyScatteredPages) {
  constexpr std::size_t many = 4000;
  ASSERT_TRUE(os::reserve(file.get(), 0, many * page_size).ok());
  auto made = mapping::map(file.get(), 0, many * page_size, map_mode::private_pages);
  ASSERT_TRUE(made.ok());
  for (std::size_t page = 0; page < many; page += 2) made->data()[page * page_size] = std::byte{1};
  EXPECT_EQ(*os::private_bytes(made->data(), many * page_size), many / 2 * page_size);
}

TEST_F(Mapping, MovingHandsTheAddressOver) {
  mapping first = map(map_mode::private_pages);
  std::byte* const address = first.data();
  mapping second = std::move(first);
  EXPECT_EQ(second.data(), address);
  EXPECT_EQ(first.data(), nullptr);
  mapping& same = second;
  second = std::move(same);
  EXPECT_EQ(second.data(), address);
  second = map(map_mode::read_only);
  EXPECT_EQ(msync(address, page_size, MS_ASYNC) == 0, second.data() == address) << "the old range is unmapped";
}

TEST_F(Mapping, ReleasedAddressStaysMapped) {
  std::byte* address = nullptr;
  {
    mapping own = map(map_mode::private_pages);
    address = own.release();
  }
  EXPECT_EQ(address[100], std::byte{7});
  os::unmap(address, pages * page_size);
}

TEST_F(Mapping, ImpossibleRangesAreFailures) {
  EXPECT_FALSE(mapping::map(file.get(), 0, 0, map_mode::read_only).ok());
  EXPECT_FALSE(mapping::map(file.get(), 1, page_size, map_mode::read_only).ok()) << "offset inside a page";
  EXPECT_FALSE(mapping::map(-1, 0, page_size, map_mode::read_only).ok());
  auto huge = mapping::map(file.get(), 0, std::uint64_t{1} << 60, map_mode::private_pages);
  ASSERT_FALSE(huge.ok());
  EXPECT_EQ(huge.reason().kind, error_kind::no_memory);
}

TEST(Memfd, SealsFreezeBytesAndSize) {
  auto made = os::make_memfd("test");
  ASSERT_TRUE(made.ok());
  EXPECT_FALSE(os::is_sealed(made->get()));
  ASSERT_TRUE(os::reserve(made->get(), 0, page_size).ok());
  ASSERT_TRUE(os::seal(made->get()).ok());
  EXPECT_TRUE(os::is_sealed(made->get()));
  EXPECT_FALSE(os::write_at(made->get(), std::vector<std::byte>(1), 0).ok());
  EXPECT_FALSE(os::reserve(made->get(), 0, 2 * page_size).ok());
  EXPECT_NE(ftruncate(made->get(), 0), 0);
  EXPECT_FALSE(os::seal(made->get()).ok()) << "seals are sealed too";
}

TEST(Memfd, SizeSealsLeaveTheBytesWritable) {
  auto made = os::make_memfd("test");
  ASSERT_TRUE(os::reserve(made->get(), 0, page_size).ok());
  ASSERT_TRUE(os::seal_size(made->get()).ok());
  EXPECT_TRUE(os::is_size_sealed(made->get()));
  EXPECT_FALSE(os::is_sealed(made->get()));
  EXPECT_TRUE(os::write_at(made->get(), std::vector<std::byte>(1), 0).ok());
  EXPECT_NE(ftruncate(made->get(), 0), 0);
}

TEST(Memfd, CannotBeSealedWhileSomebodyMayWrite) {
  auto made = os::make_memfd("test");
  ASSERT_TRUE(os::reserve(made->get(), 0, page_size).ok());
  auto writer = mapping::map(made->get(), 0, page_size, map_mode::shared);
  ASSERT_TRUE(writer.ok());
  auto sealed = os::seal(made->get());
  ASSERT_FALSE(sealed.ok());
  EXPECT_EQ(sealed.reason().kind, error_kind::busy);
}

TEST(Memfd, AnOrdinaryFileIsNotSealed) {
  test::scratch_folder folder;
  auto file = os::open_file(folder / "a", O_RDWR | O_CREAT, 0600);
  EXPECT_FALSE(os::is_sealed(file->get()));
  EXPECT_FALSE(os::is_size_sealed(file->get()));
  EXPECT_FALSE(os::is_sealed(-1));
}

}  // namespace
