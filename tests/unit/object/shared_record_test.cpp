#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "onecopy/onecopy.hpp"
#include "support/forked.hpp"
#include "support/scratch.hpp"

struct Foo {
  std::int32_t bar = 0;
  std::int32_t baz = 0;
};
ONECOPY_RECORD(Foo, bar, baz)

namespace shapes {
enum class colour : std::uint8_t { red, green };
struct point {
  double x = 0, y = 0;
};
struct everything {
  bool flag = false;
  colour tint = colour::red;
  std::uint16_t small = 0;
  long long large = 0;
  float numbers[2][3] = {};
  std::array<std::int16_t, 4> more = {};
  char label[12] = {};
  char32_t wide[5] = {};
  std::byte bytes[3] = {};
  point corners[2] = {};
  onecopy::mutex_state door;
  onecopy::counter_state hits;
};
}  // namespace shapes
ONECOPY_RECORD_AS(shapes::point, "point", x, y)
ONECOPY_RECORD_AS(shapes::everything, "everything", flag, tint, small, large, numbers, more, label, wide, bytes,
                  corners, door, hits)

// Foo as other programs know it.
namespace older {
struct Foo {
  std::int32_t bar = 0;
};
struct Foo2 {
  std::int32_t baz = 0;
  std::int32_t bar = 0;
};
struct Foo3 {
  std::int32_t bar = 0;
  float baz = 0;
};
}  // namespace older
ONECOPY_RECORD_AS(older::Foo, "Foo", bar)
ONECOPY_RECORD_AS(older::Foo2, "Foo", baz, bar)
ONECOPY_RECORD_AS(older::Foo3, "Foo", bar, baz)

namespace {

using namespace onecopy;

template <class Call>
error_kind kind_thrown(Call call, std::string* text = nullptr) {
  try {
    call();
  } catch (const error& problem) {
    if (text != nullptr) *text = problem.what();
    return problem.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return error_kind::system;
}

class Record : public testing::Test {
 protected:
  test::scratch_folder folder{"/tmp"};
  std::string path = folder / "state.foo";
};

TEST_F(Record, AFileKeepsItForTheNextProcess) {
  {
    auto foo = record<Foo>::open(path, {42, 98});
    EXPECT_EQ(foo->bar, 42);
    EXPECT_EQ(foo->baz, 98);
    foo->bar = 31337;
  }
  test::forked other([&] {
    auto foo = record<Foo>::open(path);
    if (foo->bar != 31337 || foo->baz != 98) return 1;
    foo->baz = 7;
    return 0;
  });
  EXPECT_EQ(other.wait(), 0);
  auto again = record<Foo>::open(path, {}, missing::refuse);
  EXPECT_EQ(again->bar, 31337);
  EXPECT_EQ(again->baz, 7);
}

TEST_F(Record, WritesAreSeenAtOnce) {
  auto foo = record<Foo>::open(path);
  auto same = record<Foo>::open(path);
  foo->bar = 5;
  EXPECT_EQ(same->bar, 5);
  test::forked other([&] {
    record<Foo>::open(path)->bar = 6;
    return 0;
  });
  EXPECT_EQ(other.wait(), 0);
  EXPECT_EQ(foo->bar, 6);
}

TEST_F(Record, ANameIsEnough) {
  auto foo = record<Foo>::shared("such_foo", {1, 2});
  test::forked other([&] {
    auto same = record<Foo>::shared("such_foo", {100, 200});
    if (same->bar != 1 || same->baz != 2) return 1;
    same->bar = 3;
    return 0;
  });
  EXPECT_EQ(other.wait(), 0);
  EXPECT_EQ(foo->bar, 3);
  foo = {};
  EXPECT_EQ(kind_thrown([] { (void)record<Foo>::shared("such_foo", {}, missing::refuse); }), error_kind::not_found)
      << "a named record ends with its last holder";
}

TEST_F(Record, AHandleIsEnoughWithoutAName) {
  auto foo = record<Foo>::make({8, 9});
  auto same = record<Foo>::attach(foo.handle().text());
  same->bar = 10;
  EXPECT_EQ(foo->bar, 10);
  auto memory_only = record<Foo>::make({1, 1}, backing::memfd);
  memory_only->baz = 4;
  EXPECT_EQ(memory_only.snapshot().baz, 4);
}

TEST_F(Record, ManyProcessesThatMakeItAtOnceGetOne) {
  for (const bool in_file : {true, false}) {
    std::vector<test::forked> all;
    auto keep = in_file ? record<Foo>() : record<Foo>::shared("race");
    for (int i = 0; i < 6; ++i)
      all.emplace_back([&] {
        auto foo = in_file ? record<Foo>::open(path) : record<Foo>::shared("race");
        for (int n = 0; n < 200; ++n) {
          auto held = foo.locked();
          held->bar++;
          held->baz--;
        }
        return 0;
      });
    for (auto& child : all) EXPECT_EQ(child.wait(), 0);
    auto foo = in_file ? record<Foo>::open(path) : record<Foo>::shared("race");
    EXPECT_EQ(foo->bar, 1200);
    EXPECT_EQ(foo->baz, -1200);
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << "nothing else is left behind";
}

TEST_F(Record, EveryTypeOfMember) {
  const auto& type = record<shapes::everything>::type();
  EXPECT_EQ(type.size, sizeof(shapes::everything));
  ASSERT_EQ(type.fields.size(), 12u);
  const auto field = [&](std::size_t i) { return type.fields[i]; };
  EXPECT_EQ(field(0).type, dtype::bool8);
  EXPECT_EQ(field(1).type, dtype::uint8);
  EXPECT_EQ(field(2).type, dtype::uint16);
  EXPECT_EQ(field(3).type, dtype::int64);
  EXPECT_EQ(field(4).shape, (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(field(4).type, dtype::float32);
  EXPECT_EQ(field(5).shape, std::vector<std::uint64_t>{4});
  EXPECT_EQ(field(6).type, dtype::fixed_bytes);
  EXPECT_EQ(field(6).item_size, 12u);
  EXPECT_EQ(field(7).type, dtype::fixed_utf32);
  EXPECT_EQ(field(7).item_size, 20u);
  EXPECT_EQ(field(8).type, dtype::raw);
  EXPECT_EQ(field(9).fields.size(), 2u);
  EXPECT_EQ(field(9).shape, std::vector<std::uint64_t>{2});
  EXPECT_EQ(field(10).fields[0].name, "onecopy.mutex");
  auto first = record<shapes::everything>::open(path);
  std::strcpy(first->label, "hello");
  first->corners[1].y = 2.5;
  first->numbers[1][2] = 7;
  auto again = record<shapes::everything>::open(path);
  EXPECT_STREQ(again->label, "hello");
  EXPECT_EQ(again->corners[1].y, 2.5);
  EXPECT_EQ(again->numbers[1][2], 7);
}

TEST_F(Record, AnotherTypeIsRefusedAndSaysWhatDiffers) {
  auto foo = record<Foo>::open(path);
  std::string text;
  EXPECT_EQ(kind_thrown([&] { (void)record<shapes::point>::open(path); }, &text), error_kind::wrong_type);
  EXPECT_NE(text.find("\"Foo\", not \"point\""), text.npos) << text;
  EXPECT_EQ(kind_thrown([&] { (void)record<older::Foo>::open(path); }, &text), error_kind::wrong_type);
  EXPECT_NE(text.find("2 fields, not 1"), text.npos) << text;
  EXPECT_EQ(kind_thrown([&] { (void)record<older::Foo2>::open(path); }, &text), error_kind::wrong_type);
  EXPECT_NE(text.find("field 1 is \"bar\" int32 at 0, not \"baz\" int32 at 0"), text.npos) << text;
  EXPECT_EQ(kind_thrown([&] { (void)record<older::Foo3>::open(path); }, &text), error_kind::wrong_type);
  EXPECT_NE(text.find("\"baz\" int32 at 4, not \"baz\" float32 at 4"), text.npos) << text;
}

TEST_F(Record, WhatIsNoRecordIsRefused) {
  const double numbers[] = {1, 2, 3};
  const auto array = share(std::span<const double>(numbers));
  EXPECT_EQ(kind_thrown([&] { (void)record<Foo>::attach(array.handle().text()); }), error_kind::wrong_type);
  publish_options in_file{.where = backing::file, .path = path};
  const auto saved = share(std::span<const double>(numbers), in_file);
  EXPECT_EQ(kind_thrown([&] { (void)record<Foo>::open(path); }), error_kind::wrong_type);
  // Structs, but shared as an immutable array of them.
  writer plain;
  const Foo foos[2] = {};
  plain.records(plain.root(), {.type = dtype::record, .count = 2, .item_size = sizeof(Foo)},
                record_traits<Foo>::fields(), foos);
  const region published = plain.publish();
  EXPECT_EQ(kind_thrown([&] { (void)record<Foo>::from(published); }), error_kind::wrong_type);
}

TEST_F(Record, DamagedFilesAreErrorsAndNeverABusError) {
  std::ofstream(path).close();
  EXPECT_EQ(kind_thrown([&] { (void)record<Foo>::open(path); }), error_kind::corrupt) << "an empty file";
  std::ofstream(path) << "eight by";
  EXPECT_EQ(kind_thrown([&] { (void)record<Foo>::open(path); }), error_kind::corrupt) << "the bytes of the struct";
  ASSERT_EQ(unlink(path.c_str()), 0);
  { auto foo = record<Foo>::open(path); }
  const auto whole = std::filesystem::file_size(path);
  for (std::uintmax_t cut = 1; cut < whole; cut += 97) {
    const std::string copy = folder / "copy";
    std::filesystem::copy_file(path, copy, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(copy, whole - cut);
    EXPECT_EQ(kind_thrown([&] { (void)record<Foo>::open(copy); }), error_kind::corrupt) << "without the last " << cut;
  }
  EXPECT_EQ(kind_thrown([&] { (void)record<Foo>::open(folder.path()); }), error_kind::corrupt) << "a directory";
  EXPECT_EQ(kind_thrown([&] { (void)record<Foo>::open(folder / "none/x"); }), error_kind::not_found);
  EXPECT_EQ(kind_thrown([&] { (void)record<Foo>::open(folder / "new", {}, missing::refuse); }), error_kind::not_found);
  EXPECT_FALSE(std::filesystem::exists(folder / "new"));
}

// Bytes of a record's file, changed one by one: an error, or a record.
TEST_F(Record, NoChangedByteCanCrashAReader) {
  { auto foo = record<Foo>::open(path, {1, 2}); }
  std::string bytes;
  {
    std::ifstream file(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  test::forked reader([&] {
    const std::string copy = folder / "copy";
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (i % 2 != 0 ? 0xff : 1));
      std::ofstream(copy, std::ios::binary) << changed;
      try {
        auto foo = record<Foo>::open(copy);
        (void)foo.snapshot({.seconds = 1});
        (void)foo.locked({.seconds = 1});
      } catch (const error&) {
      }
    }
    return 0;
  });
  EXPECT_EQ(reader.wait(120), 0);
}

TEST_F(Record, SnapshotsNeverSeeHalfAChange) {
  auto foo = record<Foo>::make();
  std::vector<test::forked> writers;
  for (int i = 0; i < 2; ++i)
    writers.emplace_back([&] {
      for (int n = 0; n < 20'000; ++n) {
        auto held = foo.locked();
        volatile std::int32_t &bar = held->bar, &baz = held->baz;
        bar = bar + 1;
        baz = baz - 1;
      }
      return 0;
    });
  test::forked reader([&] {
    for (int n = 0; n < 20'000; ++n) {
      const Foo seen = foo.snapshot();
      if (seen.bar != -seen.baz) return 1;
    }
    return 0;
  });
  for (auto& writer : writers) EXPECT_EQ(writer.wait(60), 0);
  EXPECT_EQ(reader.wait(60), 0);
  EXPECT_EQ(foo->bar, 40'000);
}

TEST_F(Record, ADeadWriterIsToldToWritersAndReaders) {
  auto foo = record<Foo>::open(path, {1, 1});
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  test::forked writer([&] {
    auto held = foo.locked();
    held->bar = 2;
    if (write(ready[1], "x", 1) != 1) return 1;
    pause();
    return 0;
  });
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(kind_thrown([&] { (void)foo.snapshot({.seconds = 0.1}); }), error_kind::timeout);
  EXPECT_FALSE(foo.locked({.seconds = 0.1}));
  writer.kill();
  bool died = false;
  EXPECT_EQ(foo.snapshot({.seconds = 10}, &died).bar, 2);
  EXPECT_TRUE(died);
  {
    auto held = foo.locked({.seconds = 10});
    ASSERT_TRUE(held);
    EXPECT_TRUE(held.owner_died());
    held->baz = 2;
    held.repaired();
  }
  EXPECT_EQ(foo.snapshot({}, &died).baz, 2);
  EXPECT_FALSE(died);
  close(ready[0]);
  close(ready[1]);
}

TEST_F(Record, LocksInsideARecordWork) {
  auto all = record<shapes::everything>::open(path);
  auto door = all.use<mutex>(all->door);
  auto hits = all.use<counter>(all->hits);
  test::forked other([&] {
    auto same = record<shapes::everything>::open(path);
    auto held = same.use<mutex>(same->door).hold();
    same.use<counter>(same->hits).fetch_add(41);
    _exit(0);  // without unlocking
    return 0;
  });
  EXPECT_EQ(other.wait(), 0);
  auto held = door.hold({.seconds = 10});
  EXPECT_TRUE(held.owner_died());
  hits.fetch_add(1);
  EXPECT_EQ(hits.load(), 42);
}

TEST_F(Record, ACopyOfALockedFileHealsByItself) {
  auto foo = record<Foo>::open(path, {3, 4});
  auto held = foo.locked();
  std::filesystem::copy_file(path, folder / "copy");
  auto copy = record<Foo>::open(folder / "copy");
  auto copy_held = copy.locked({.seconds = 10});
  EXPECT_TRUE(copy_held.owner_died());
  EXPECT_EQ(copy_held->bar, 3);
}

TEST_F(Record, NamedPrimitives) {
  auto door = open_shared<mutex>("a door");
  auto permits = open_shared<semaphore>("permits", semaphore::with_units(2));
  auto line = open_shared_queue("line", {.slots = 8, .message_bytes = 32});
  auto bell = open_in_file<event>(folder / "bell");
  test::forked other([&] {
    auto same = open_shared<mutex>("a door");
    if (same.acquire(waiting::none()) != wait_result::done) return 1;
    if (open_shared<semaphore>("permits").available() != 2) return 2;
    auto queue = open_shared_queue("line", {.slots = 1, .message_bytes = 1});
    const std::byte message[20] = {};
    if (queue.slots() != 8 || queue.put(message) != wait_result::done) return 3;
    open_in_file<event>(folder / "bell").set();
    return 0;
  });
  EXPECT_EQ(other.wait(), 0);
  EXPECT_TRUE(bell.is_set());
  std::vector<std::byte> got;
  EXPECT_EQ(line.get(got, waiting::none()), wait_result::done);
  EXPECT_EQ(got.size(), 20u);
  EXPECT_EQ(door.acquire({.seconds = 10}), wait_result::owner_died);
  EXPECT_EQ(kind_thrown([] { (void)open_shared<event>("a door"); }), error_kind::wrong_type);
  EXPECT_EQ(kind_thrown([] { (void)open_shared_queue("a door"); }), error_kind::wrong_type);
  EXPECT_EQ(kind_thrown([] { (void)open_shared<event>("no such", {}, missing::refuse); }), error_kind::not_found);
}

TEST_F(Record, KilledMakersLeaveNothingThatOthersStumbleOver) {
  for (int i = 0; i < 60; ++i) {
    test::forked maker([&] {
      for (;;) {
        (void)record<Foo>::open(path, {5, 6});
        unlink(path.c_str());
      }
      return 0;
    });
    usleep(static_cast<useconds_t>(500 + i * 37));
    maker.kill();
    auto foo = record<Foo>::open(path, {5, 6});
    EXPECT_EQ(foo->bar, 5);
    EXPECT_EQ(foo->baz, 6);
  }
}

}  // namespace
