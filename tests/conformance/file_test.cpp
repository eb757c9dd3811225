// Region files and descriptors from elsewhere: what only these two can do wrong.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <utility>
#include <vector>

#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/memfd.hpp"
#include "support/pattern.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using test::kind_thrown_by, test::pattern_fault, test::publish_pattern;

class RegionFile : public testing::Test {
 protected:
  test::scratch_folder folder;
  const std::string path = folder / "x.onecopy";
  region save(std::uint64_t seed) {
    return publish_pattern(seed, 10'000, {.where = backing::file, .replace = true, .path = path});
  }
};

TEST_F(RegionFile, StaysWhenNobodyHoldsIt) {
  save(1);
  EXPECT_EQ(pattern_fault(store::open_file(path)), "");
  EXPECT_EQ(pattern_fault(open(path).region()), "");
}

TEST_F(RegionFile, IsNotOverwrittenUnlessAsked) {
  save(1);
  EXPECT_EQ(kind_thrown_by([&] { publish_pattern(2, 10, {.where = backing::file, .path = path}); }),
            error_kind::exists);
  EXPECT_EQ(value(store::open_file(path)).as<std::uint64_t>()[0], 1u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << "no temporary file is left";
}

TEST_F(RegionFile, IsReplacedWhole) {
  const region old = save(1);
  const region made = save(2);
  EXPECT_EQ(pattern_fault(old), "") << "who has the old file open keeps it";
  EXPECT_EQ(value(old).as<std::uint64_t>()[0], 1u);
  EXPECT_EQ(value(store::open_file(path)).as<std::uint64_t>()[0], 2u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << "no temporary file is left";
}

TEST_F(RegionFile, ASaveThatIsKilledLeavesTheOldFileAlone) {
  save(1);
  // The first report comes before anything is written, the last when all is.
  for (const bool at_the_end : {false, true}) {
    test::forked writer([&] {
      const auto die = [&](std::uint64_t done, std::uint64_t total) {
        if (!at_the_end || done == total) raise(SIGKILL);
      };
      publish_pattern(2, 3'000'000, {.where = backing::file, .replace = true, .path = path, .progress = die});
      return 0;
    });
    EXPECT_EQ(writer.wait(), -SIGKILL);
    EXPECT_EQ(value(store::open_file(path)).as<std::uint64_t>()[0], 1u);
    save(1);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << "no temporary file is left";
  }
}

TEST_F(RegionFile, AnotherSaveLeavesOneThatIsUnderWayAlone) {
  save(1);
  test::forked writer([&] {
    bool stopped = false;
    const auto stop = [&](std::uint64_t, std::uint64_t) {
      if (!std::exchange(stopped, true)) raise(SIGSTOP);
    };
    publish_pattern(2, 3'000'000, {.where = backing::file, .replace = true, .path = path, .progress = stop});
    return 0;
  });
  int state = 0;
  ASSERT_EQ(waitpid(writer.pid(), &state, WUNTRACED), writer.pid());
  ASSERT_TRUE(WIFSTOPPED(state));
  std::ofstream(path + ".new-note") << "the user's own";
  save(3);
  kill(writer.pid(), SIGCONT);
  EXPECT_EQ(writer.wait(), 0);
  EXPECT_EQ(value(store::open_file(path)).as<std::uint64_t>()[0], 2u) << "the last one that ended";
  EXPECT_TRUE(std::filesystem::exists(path + ".new-note"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 2) << "no temporary file is left";
}

TEST_F(RegionFile, SavesToOnePathDoNotTakeEachOthersFilesForLeftovers) {
  std::vector<std::unique_ptr<test::forked>> writers;
  for (std::uint64_t seed = 1; seed <= 4; ++seed)
    writers.push_back(std::make_unique<test::forked>([&, seed] {
      for (int i = 0; i < 3000; ++i) save(seed);
      return 0;
    }));
  for (auto& writer : writers) EXPECT_EQ(writer->wait(), 0);
  EXPECT_EQ(pattern_fault(store::open_file(path)), "");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << "no temporary file is left";
}

TEST_F(RegionFile, ItsNameMayBeAsLongAsNamesMayBe) {
  const std::string longest = folder / std::string(255, 'x');
  for (const std::uint64_t seed : {1, 2})
    publish_pattern(seed, 10'000, {.where = backing::file, .replace = true, .path = longest});
  EXPECT_EQ(value(store::open_file(longest)).as<std::uint64_t>()[0], 2u);
  try {
    publish_pattern(1, 10'000, {.where = backing::file, .path = folder / std::string(100'000, 'x')});
    FAIL() << "it was saved";
  } catch (const error& e) {
    EXPECT_EQ(e.kind(), error_kind::invalid_argument);
    EXPECT_LT(std::string(e.what()).size(), 300u) << "it can be read";
  }
}

TEST_F(RegionFile, CannotBeSavedWhereThereIsNoFolder) {
  EXPECT_EQ(kind_thrown_by([&] {
              publish_pattern(1, 10, {.where = backing::file, .path = folder / "nothing/x.onecopy"});
            }),
            error_kind::not_found);
  EXPECT_EQ(kind_thrown_by([&] { publish_pattern(1, 10, {.where = backing::file}); }), error_kind::invalid_argument);
}

TEST_F(RegionFile, CannotReplaceAFolder) {
  std::filesystem::create_directory(path);
  EXPECT_THROW(save(1), error);
  EXPECT_TRUE(std::filesystem::is_directory(path));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << "no temporary file is left";
}

TEST_F(RegionFile, ThingsThatAreNoRegionFile) {
  EXPECT_EQ(kind_thrown_by([&] { store::open_file(folder / "nothing"); }), error_kind::not_found);
  EXPECT_THROW(store::open_file(folder.path()), error);
  EXPECT_THROW(store::open_file("/dev/null"), error);
  EXPECT_THROW(store::open_file("/dev/zero"), error);
  EXPECT_THROW(store::open_file("/proc/self/status"), error);
  EXPECT_THROW(store::open_file(""), error);
  EXPECT_THROW(store::open_file(std::string("a\0b", 3)), error);
  for (const std::size_t size : {0u, 1u, 100u, 255u, 256u, 4096u, 10'000u}) {
    std::ofstream(path, std::ios::trunc) << std::string(size, 'x');
    EXPECT_EQ(kind_thrown_by([&] { store::open_file(path); }), error_kind::corrupt) << size;
  }
}

TEST_F(RegionFile, APipeDoesNotHang) {
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_THROW(store::open_file(path), error);
}

TEST_F(RegionFile, CutShort) {
  save(1);
  const auto size = std::filesystem::file_size(path);
  for (const std::uintmax_t cut : std::vector<std::uintmax_t>{size - 1, size - 4096, size / 2, 300, 0}) {
    save(1);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    std::filesystem::resize_file(path, cut);
    EXPECT_EQ(kind_thrown_by([&] { store::open_file(path); }), error_kind::corrupt) << cut;
  }
}

TEST_F(RegionFile, WithMoreBehindIt) {
  save(1);
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  std::ofstream(path, std::ios::app) << "more";
  try {
    EXPECT_EQ(pattern_fault(store::open_file(path)), "");
  } catch (const error& refused) {
    EXPECT_EQ(refused.kind(), error_kind::corrupt);
  }
}

TEST_F(RegionFile, ADamagedByteIsFoundByVerify) {
  save(1);
  const auto size = std::filesystem::file_size(path);
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(size / 2));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(size / 2));
    file.put(static_cast<char>(~byte));
  }
  EXPECT_EQ(kind_thrown_by([&] { verify(store::open_file(path)); }), error_kind::corrupt);
}

TEST_F(RegionFile, MayBeReachedThroughALink) {
  save(1);
  std::filesystem::create_symlink(path, folder / "link");
  EXPECT_EQ(pattern_fault(store::open_file(folder / "link")), "");
  std::filesystem::create_symlink(folder / "link", folder / "loop");
  std::filesystem::remove(folder / "link");
  std::filesystem::create_symlink(folder / "loop", folder / "link");
  EXPECT_THROW(store::open_file(folder / "loop"), error);
}

TEST(Descriptor, UnsealedMemoryOfAStrangerIsRefused) {
  NEEDS_SEALED_MEMFD();
  const region made = publish_pattern(1, 1000, {.where = backing::memfd});
  const int unsealed = memfd_create("stranger", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  ASSERT_EQ(write(unsealed, made.bytes().data(), made.bytes().size()), static_cast<ssize_t>(made.bytes().size()));
  EXPECT_EQ(kind_thrown_by([&] { store::from_descriptor(unsealed); }), error_kind::permission);
  ASSERT_EQ(fcntl(unsealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  EXPECT_EQ(kind_thrown_by([&] { store::from_descriptor(unsealed); }), error_kind::permission)
      << "the bytes could still change";
  ASSERT_EQ(fcntl(unsealed, F_ADD_SEALS, F_SEAL_WRITE), 0);
  EXPECT_EQ(pattern_fault(store::from_descriptor(unsealed)), "");
  close(unsealed);
}

TEST(Descriptor, SealedMemoryOutlivesItsMaker) {
  NEEDS_SEALED_MEMFD();
  int descriptor = -1;
  {
    const region made = publish_pattern(1, 1000, {.where = backing::memfd});
    descriptor = made.open_descriptor();
  }
  const region received = store::from_descriptor(descriptor);
  close(descriptor);
  EXPECT_EQ(pattern_fault(received), "");
}

TEST(Descriptor, SealedNonsenseIsCorrupt) {
  NEEDS_SEALED_MEMFD();
  const int nonsense = memfd_create("stranger", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  ASSERT_EQ(ftruncate(nonsense, 10'000), 0);
  ASSERT_EQ(fcntl(nonsense, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
  EXPECT_EQ(kind_thrown_by([&] { store::from_descriptor(nonsense); }), error_kind::corrupt);
  close(nonsense);
}

TEST(Descriptor, WithoutMemfdsItIsAClearError) {
  if (test::has_sealed_memfd()) GTEST_SKIP() << "this kernel has sealed memfds";
  try {
    publish_pattern(1, 1000, {.where = backing::memfd});
    ADD_FAILURE() << "published";
  } catch (const error& refused) {
    EXPECT_TRUE(refused.kind() == error_kind::unsupported || refused.kind() == error_kind::permission ||
                refused.kind() == error_kind::invalid_argument)
        << refused.what();
    EXPECT_NE(std::string(refused.what()).find("memfd"), std::string::npos) << refused.what();
  }
  EXPECT_EQ(pattern_fault(publish_pattern(1, 1000)), "") << "the store needs none";
}

TEST(Descriptor, ThingsThatAreNoMemory) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_THROW(store::from_descriptor(ends[0]), error);
  EXPECT_THROW(store::from_descriptor(ends[0], true), error);
  EXPECT_THROW(store::from_descriptor(-1), error);
  EXPECT_THROW(store::from_descriptor(1'000'000), error);
  close(ends[0]);
  close(ends[1]);
  const int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  EXPECT_THROW(store::from_descriptor(zero, true), error);
  close(zero);
}

}  // namespace
