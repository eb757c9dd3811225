// Files used where they lie, also when they change under us.
#include "onecopy/mapped_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <numeric>

#include "onecopy/channel.hpp"
#include "onecopy/writer.hpp"
#include "support/expect.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using test::kind_thrown_by;

std::string content(std::size_t size) {
  std::string all(size, '\0');
  for (std::size_t i = 0; i < size; ++i) all[i] = static_cast<char>(i * 31 + i / 4096);
  return all;
}

struct MappedFile : testing::Test {
  std::string write(const std::string& bytes, const char* name = "file") {
    const std::string path = folder / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  test::scratch_folder folder;
};

std::string_view text(const mapped_file& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.size()};
}

TEST_F(MappedFile, HasTheBytesOfTheFile) {
  for (const std::size_t size : {0u, 1u, 100u, 4095u, 4096u, 4097u, 1'000'000u}) {
    const std::string all = content(size);
    const mapped_file file(write(all));
    EXPECT_EQ(file.size(), size);
    EXPECT_EQ(text(file), all);
    EXPECT_EQ(file.node().type(), dtype::raw);
    EXPECT_EQ(file.node().region().where(), backing::mapped_file);
    EXPECT_TRUE(file.intact());
    verify(file.node().region());
  }
}

TEST_F(MappedFile, ElementsOffsetCountAndShape) {
  std::vector<double> numbers(10'000);
  std::iota(numbers.begin(), numbers.end(), 0.0);
  const std::string path = write(std::string(reinterpret_cast<const char*>(numbers.data()), numbers.size() * 8));
  EXPECT_EQ(map_file(path, {.type = dtype::float64}).as<double>()[9'999], 9'999);
  const value part = map_file(path, {.type = dtype::float64, .offset = 64 * 8, .count = 100});
  EXPECT_EQ(part.size(), 100u);
  EXPECT_EQ(part.as<double>()[0], 64);
  const value beyond_a_page = map_file(path, {.type = dtype::float64, .offset = 8192 + 128});
  EXPECT_EQ(beyond_a_page.as<double>()[0], (8192 + 128) / 8);
  EXPECT_EQ(beyond_a_page.size(), 10'000u - (8192 + 128) / 8);
  const value matrix = map_file(path, {.type = dtype::float64, .shape = {100, 100}, .order = memory_order::row_major});
  EXPECT_EQ(matrix.shape(), (std::vector<std::uint64_t>{100, 100}));
  EXPECT_EQ(matrix.order(), memory_order::row_major);
}

TEST_F(MappedFile, OptionsThatDoNotFitAreErrors) {
  const std::string path = write(content(1001));
  const auto refused = [&](const map_options& options) { return kind_thrown_by([&] { map_file(path, options); }); };
  EXPECT_EQ(refused({.type = dtype::float64}), error_kind::invalid_argument);  // not a whole number
  EXPECT_EQ(refused({.offset = 8}), error_kind::invalid_argument);
  EXPECT_EQ(refused({.offset = 6400}), error_kind::invalid_argument);
  EXPECT_EQ(refused({.type = dtype::float64, .count = 126}), error_kind::invalid_argument);
  EXPECT_EQ(refused({.type = dtype::float64, .count = ~std::uint64_t{0} / 4}), error_kind::invalid_argument);
  EXPECT_EQ(refused({.shape = {10, 10}}), error_kind::invalid_argument);
  EXPECT_EQ(refused({.shape = {~std::uint64_t{0}, 16}}), error_kind::invalid_argument);
  EXPECT_EQ(refused({.type = dtype::fixed_bytes}), error_kind::invalid_argument);
  EXPECT_EQ(refused({.type = dtype::none}), error_kind::invalid_argument);
}

TEST_F(MappedFile, WhatIsNoOrdinaryFileIsAnError) {
  EXPECT_EQ(kind_thrown_by([&] { mapped_file(folder / "missing"); }), error_kind::not_found);
  EXPECT_EQ(kind_thrown_by([&] { mapped_file file(folder.path()); }), error_kind::invalid_argument);
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(kind_thrown_by([&] { mapped_file(folder / "fifo"); }), error_kind::invalid_argument);
  EXPECT_EQ(kind_thrown_by([&] { mapped_file("/dev/zero"); }), error_kind::invalid_argument);
  const auto ordinary = share(std::span<const double>(std::vector<double>(10)));
  EXPECT_EQ(kind_thrown_by([&] { mapped_file file(ordinary.node()); }), error_kind::wrong_type);
}

TEST_F(MappedFile, TheFilesPagesAreTheOneCopy) {
  const std::string path = write(content(8 << 20));
  const mapped_file file(path);
  // A change through the file system shows: nothing was copied.
  const int other = open(path.c_str(), O_WRONLY);
  ASSERT_EQ(pwrite(other, "CHANGED", 7, 5'000'000), 7);
  close(other);
  EXPECT_EQ(text(file).substr(5'000'000, 7), "CHANGED");
}

TEST_F(MappedFile, AWriteStaysPrivate) {
  const std::string all = content(100'000);
  const std::string path = write(all);
  const mapped_file file(path), again(path);
  auto* bytes = file.node().region().writable_bytes() + file.node().data_offset();
  bytes[50'000] = std::byte{1};
  EXPECT_EQ(file.bytes()[50'000], std::byte{1});
  EXPECT_EQ(text(again), all);
  EXPECT_TRUE(file.node().region().diverged(file.node().data_offset(), all.size()));
  EXPECT_FALSE(again.node().region().diverged(again.node().data_offset(), all.size()));
  auto copy = again.node().region().private_view(again.node().data_offset(), all.size());
  copy.data()[0] = std::byte{9};
  EXPECT_EQ(text(again), all);
}

TEST_F(MappedFile, CutShortIsAnErrorAndNotTheEndOfTheProcess) {
  const std::string all = content(100'000);
  const std::string path = write(all);
  const mapped_file file(path);
  std::vector<std::byte> out(1000);
  file.read(90'000, out);
  ASSERT_EQ(truncate(path.c_str(), 50'000), 0);
  EXPECT_EQ(kind_thrown_by([&] { file.read(90'000, out); }), error_kind::corrupt);
  EXPECT_EQ(kind_thrown_by([&] { file.read(0, out); }), error_kind::corrupt);
  EXPECT_FALSE(file.intact());
  EXPECT_EQ(file.bytes()[99'999], std::byte{0});  // a pointer finds zeros
  EXPECT_EQ(text(file).substr(0, 40'000), std::string_view(all).substr(0, 40'000));
  // It stays an error, also when the file has grown again.
  std::ofstream(path, std::ios::binary) << all;
  EXPECT_FALSE(file.intact());
  EXPECT_TRUE(mapped_file(path).intact());
}

TEST_F(MappedFile, ACutWithinTheLastPageIsSeenToo) {
  const std::string path = write(content(5000));
  const mapped_file file(path);
  ASSERT_EQ(truncate(path.c_str(), 4999), 0);
  EXPECT_FALSE(file.intact());
  EXPECT_EQ(kind_thrown_by([&] { file.check(); }), error_kind::corrupt);
}

TEST_F(MappedFile, CutToNothingBeforeItIsTouched) {
  const std::string path = write(content(1 << 20));
  const mapped_file file(path);
  ASSERT_EQ(truncate(path.c_str(), 0), 0);
  EXPECT_EQ(file.bytes()[0], std::byte{0});
  EXPECT_EQ(kind_thrown_by([&] { file.check(); }), error_kind::corrupt);
}

TEST_F(MappedFile, ReplacedAndRemovedFilesStayReadable) {
  const std::string all = content(100'000), path = write(all);
  const mapped_file file(path);
  const std::string other = write("short", "other");
  ASSERT_EQ(rename(other.c_str(), path.c_str()), 0);
  EXPECT_EQ(text(file), all);
  EXPECT_TRUE(file.intact());
  ASSERT_EQ(unlink(path.c_str()), 0);
  EXPECT_EQ(text(file), all);
  EXPECT_TRUE(file.intact());
}

TEST_F(MappedFile, ReadsStayInside) {
  const mapped_file file(write(content(100)));
  std::vector<std::byte> out(50);
  file.read(50, out);
  EXPECT_EQ(kind_thrown_by([&] { file.read(51, out); }), error_kind::invalid_argument);
  EXPECT_EQ(kind_thrown_by([&] { file.read(~std::uint64_t{0}, out); }), error_kind::invalid_argument);
}

TEST_F(MappedFile, TravelsAsADescriptorWithItsPath) {
  const std::string all = content(300'000), path = write(all);
  auto [a, b] = channel::pair();
  for (const std::uint64_t offset : {0u, 4096u, 4096u + 64u}) {
    a.send(map_file(path, {.offset = offset}), "a font");
    const message m = b.receive(5);
    const mapped_file received(m.object());
    EXPECT_EQ(received.path(), path);
    EXPECT_EQ(text(received), std::string_view(all).substr(offset));
    b.send(m.object());  // and on
    EXPECT_EQ(text(mapped_file(a.receive(5).object())), std::string_view(all).substr(offset));
  }
  // Of another user's process nothing else is expected: the file is checked, not the sender.
  auto [c, d] = channel::pair({.assume = channel_options::peer::stranger});
  c.send(map_file(path));
  EXPECT_EQ(text(mapped_file(d.receive(5).object())), all);
}

TEST_F(MappedFile, AFileThatIsGoneTravelsAsACopy) {
  const std::string all = content(300'000), path = write(all);
  const mapped_file file(path);
  ASSERT_EQ(unlink(path.c_str()), 0);
  auto [a, b] = channel::pair();
  std::uint64_t copied = 0;
  report_copies(1, [&](const copy_report& copy) { copied += copy.bytes; });
  a.send(file.node());
  report_copies(0);
  EXPECT_GE(copied, all.size());
  const message m = b.receive(5);
  EXPECT_EQ(m.object().region().where(), backing::memfd);
  EXPECT_EQ(m.object().data_bytes(), all.size());
  EXPECT_EQ(std::memcmp(m.object().data(), all.data(), all.size()), 0);
}

TEST_F(MappedFile, CutAfterItWasReceived) {
  const std::string path = write(content(300'000));
  auto [a, b] = channel::pair();
  a.send(map_file(path));
  const mapped_file received(b.receive(5).object());
  ASSERT_EQ(truncate(path.c_str(), 100), 0);
  EXPECT_EQ(kind_thrown_by([&] { received.check(); }), error_kind::corrupt);
  EXPECT_EQ(received.bytes()[299'999], std::byte{0});
}

TEST_F(MappedFile, ACopyByThePageSurvivesTheCutToo) {
  const std::vector<double> numbers(100'000, 2.5);
  const std::string path = folder / "x.onecopy";
  const auto x = share(std::span<const double>(numbers), {.where = backing::file, .path = path});
  const value& node = x.node();
  auto copy = node.region().private_view(node.data_offset(), node.data_bytes());
  auto* mine = reinterpret_cast<double*>(copy.data());
  mine[0] = -1;
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  ASSERT_EQ(truncate(path.c_str(), 8192), 0);
  EXPECT_EQ(mine[0], -1);
  EXPECT_EQ(mine[99'999], 0);  // and the process lives
  EXPECT_EQ(kind_thrown_by([&] { node.region().private_view(node.data_offset(), node.data_bytes()); }),
            error_kind::corrupt);
  const mapped_file raw(path);
  ASSERT_EQ(truncate(path.c_str(), 100), 0);
  EXPECT_EQ(kind_thrown_by([&] { raw.node().region().private_view(raw.node().data_offset(), raw.size()); }),
            error_kind::corrupt);
}

TEST_F(MappedFile, ARegionFileThatIsCutIsAnErrorToo) {
  const std::vector<double> numbers(100'000, 2.5);
  const std::string path = folder / "x.onecopy";
  const auto x = share(std::span<const double>(numbers), {.where = backing::file, .path = path});
  auto [a, b] = channel::pair();
  a.send(x);
  const value received = b.receive(5).object();
  EXPECT_EQ(received.as<double>()[99'999], 2.5);
  EXPECT_TRUE(received.region().intact());
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  ASSERT_EQ(truncate(path.c_str(), 4096), 0);
  EXPECT_FALSE(x.node().region().intact());
  EXPECT_EQ(x[99'999], 0);
  EXPECT_EQ(kind_thrown_by([&] { received.region().check_intact(); }), error_kind::corrupt);
}

}  // namespace
