// Copies of objects that lie on another host: same id, found by the handle made there.
#include <gtest/gtest.h>

#include <cstring>

#include "onecopy/onecopy.hpp"
#include "support/expect.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using test::kind_thrown_by;

// An object of another store, and its bytes as they would come over a network.
struct elsewhere {
  handle where;
  std::vector<std::byte> bytes;

  elsewhere() {
    const std::string here = std::getenv("ONECOPY_DIR");
    test::scratch_folder other;
    setenv("ONECOPY_DIR", (other / "store").c_str(), 1);
    const std::vector<double> numbers{1, 2, 3};
    const auto shared = share(std::span<const double>(numbers));
    where = shared.handle();
    const auto all = shared.node().region().bytes();
    bytes.assign(all.begin(), all.end());
    setenv("ONECOPY_DIR", here.c_str(), 1);
  }
  auto producer() const {
    return [this](std::uint64_t offset, std::span<std::byte> out) {
      std::memcpy(out.data(), bytes.data() + offset, out.size());
    };
  }
};

TEST(Import, HandleOfAnotherStoreIsWrongHostUntilACopyIsHere) {
  const elsewhere object;
  EXPECT_EQ(kind_thrown_by([&] { (void)attach(object.where); }), error_kind::wrong_host);
  const region copy = store::import(object.where.id, object.bytes.size(), object.producer());
  const auto found = attach<array<double>>(object.where);
  EXPECT_EQ(found[2], 3);
  EXPECT_EQ(found.node().region(), copy);
  EXPECT_EQ(found.handle().store, store::store_id());
}

TEST(Import, SecondCopyIsTheFirst) {
  const elsewhere object;
  const region first = store::import(object.where.id, object.bytes.size(), object.producer());
  EXPECT_EQ(store::import(object.where.id, object.bytes.size(), object.producer()), first);
}

TEST(Import, AnotherObjectOrDamageIsRefusedAndLeavesNothing) {
  const elsewhere object, stranger;
  const auto before = store::list().size();
  EXPECT_EQ(kind_thrown_by([&] { store::import(object.where.id, stranger.bytes.size(), stranger.producer()); }),
            error_kind::corrupt);
  elsewhere damaged = object;
  damaged.bytes[256 + 8] = std::byte{0xff};  // the root's length
  EXPECT_EQ(kind_thrown_by([&] { store::import(object.where.id, damaged.bytes.size(), damaged.producer()); }),
            error_kind::corrupt);
  EXPECT_EQ(kind_thrown_by([&] { store::import(object.where.id, 10, object.producer()); }), error_kind::corrupt);
  EXPECT_EQ(store::list().size(), before);
}

TEST(Import, SourceThatFailsPassesItsErrorOn) {
  const elsewhere object;
  const auto before = store::list().size();
  EXPECT_THROW(store::import(object.where.id, object.bytes.size(),
                             [](std::uint64_t, std::span<std::byte>) { throw std::runtime_error("link down"); }),
               std::runtime_error);
  EXPECT_EQ(store::list().size(), before);
}

TEST(Publish, MoreThanTheMemoryThereIsIsAnErrorAndNotADeadProcess) {
  EXPECT_EQ(kind_thrown_by([] { make_writable<double>(std::uint64_t{1} << 42); }), error_kind::no_memory);
  writer w;
  w.array(w.root(), {.type = dtype::int8, .count = std::uint64_t{1} << 45}, nullptr);
  EXPECT_EQ(kind_thrown_by([&] { w.publish({.where = backing::memfd}); }), error_kind::no_memory);
}

}  // namespace
