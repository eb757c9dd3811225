// Memory that children are given before it is written.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "onecopy/onecopy.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using test::kind_thrown_by;

constexpr double patience = 60;

region fill(pending_memory& memory, const std::vector<double>& content) {
  writer w;
  w.array(w.root(), {.type = dtype::float64, .count = content.size()}, content.data());
  return memory.publish(w);
}

TEST(Pending, ChildrenWaitUntilTheMemoryIsComplete) {
  pending_memory memory;
  std::vector<test::forked> children;
  for (int i = 0; i < 3; ++i)
    children.emplace_back([&] {
      const value got(receive_descriptor(memory.descriptor(), patience));
      return got.as<double>()[99'999] == 4 && !got.region().writable() ? 0 : 1;
    });
  usleep(100'000);
  for (auto& child : children) EXPECT_TRUE(child.running());
  const region here = fill(memory, std::vector<double>(100'000, 4));
  EXPECT_TRUE(memory.published());
  EXPECT_EQ(here.where(), backing::memfd);
  for (auto& child : children) EXPECT_EQ(child.wait(patience), 0);
  EXPECT_EQ(value(receive_descriptor(memory.descriptor(), 0)).size(), 100'000u);
}

TEST(Pending, WhenTheWriterDiesNobodyWaits) {
  int ready[2], handed = -1;
  ASSERT_EQ(pipe(ready), 0);
  // The descriptor outlives its writer here, as it would in a child: through /proc, before the writer is killed.
  test::forked writer_process([&] {
    pending_memory memory;
    const int number = memory.descriptor();
    if (write(ready[1], &number, sizeof number) != sizeof number) return 1;
    for (;;) pause();
  });
  int number = -1;
  ASSERT_EQ(read(ready[0], &number, sizeof number), static_cast<ssize_t>(sizeof number));
  const std::string path = "/proc/" + std::to_string(writer_process.pid()) + "/fd/" + std::to_string(number);
  handed = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(handed, 0);
  EXPECT_EQ(kind_thrown_by([&] { receive_descriptor(handed, 0.05); }), error_kind::timeout);
  writer_process.kill();
  EXPECT_EQ(kind_thrown_by([&] { receive_descriptor(handed, patience); }), error_kind::peer_closed);
  close(handed), close(ready[0]), close(ready[1]);
}

TEST(Pending, ItIsWrittenOnceAndNotMutable) {
  pending_memory memory;
  writer w;
  EXPECT_EQ(kind_thrown_by([&] { memory.publish(w, {.writable = true}); }), error_kind::invalid_argument);
  (void)fill(memory, {1, 2, 3});
  EXPECT_EQ(kind_thrown_by([&] { fill(memory, {1, 2, 3}); }), error_kind::invalid_argument);
}

TEST(Pending, WhatIsNoPendingMemoryIsNotWaitedFor) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(kind_thrown_by([&] { receive_descriptor(ends[0], patience); }), error_kind::corrupt);
  EXPECT_EQ(kind_thrown_by([&] { receive_descriptor(987654, patience); }), error_kind::system);
  const int unsealed = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  ASSERT_EQ(ftruncate(unsealed, 8192), 0);
  EXPECT_EQ(kind_thrown_by([&] { receive_descriptor(unsealed, patience); }), error_kind::permission);
  int calls = 0;
  pending_memory memory;
  EXPECT_EQ(kind_thrown_by([&] {
              receive_descriptor(memory.descriptor(), patience, [&] {
                if (++calls == 3) throw error(error_kind::interrupted, "wait", "stop");
              });
            }),
            error_kind::interrupted);
  close(ends[0]), close(ends[1]), close(unsealed);
}

}  // namespace
