// Who holds an object, when it ends, and what a lease does.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "support/expect.hpp"
#include "support/pattern.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using test::kind_thrown_by, test::pattern_fault, test::publish_pattern;

bool is_listed(const object_id& id) {
  for (const auto& entry : store::list())
    if (entry.id == id) return true;
  return false;
}

class Lifetime : public testing::Test {
 protected:
  void TearDown() override {
    for (const auto& entry : store::list()) store::remove(entry.id);
    EXPECT_TRUE(store::list().empty());
  }
};

TEST_F(Lifetime, EndsWithItsLastHolder) {
  region made = publish_pattern(1, 1000);
  const handle where = made.handle(0, 0);
  region copy = made, attached = store::attach(where);
  EXPECT_TRUE(is_listed(made.id()));
  made = region();
  EXPECT_TRUE(store::exists(where));
  copy = region();
  EXPECT_TRUE(store::exists(where));
  EXPECT_EQ(pattern_fault(attached), "");
  attached = region();
  EXPECT_FALSE(store::exists(where));
  EXPECT_FALSE(is_listed(where.id));
  EXPECT_EQ(kind_thrown_by([&] { store::attach(where); }), error_kind::not_found);
}

TEST_F(Lifetime, IsMappedOnceInAProcess) {
  const region made = publish_pattern(1, 1000);
  const handle where = made.handle(0, 0);
  const region again = store::attach(where);
  EXPECT_EQ(again.bytes().data(), made.bytes().data());
  EXPECT_EQ(again, made);
}

TEST_F(Lifetime, ValuesHoldToo) {
  handle where;
  value kept;
  {
    region made = publish_pattern(1, 1000);
    where = made.handle(0, 0);
    kept = value(made);
  }
  EXPECT_TRUE(store::exists(where));
  EXPECT_EQ(pattern_fault(kept.as<std::uint64_t>()), "");
  kept = value();
  EXPECT_FALSE(store::exists(where));
}

TEST_F(Lifetime, PrivateViewsHoldToo) {
  handle where;
  private_view view;
  {
    region made = publish_pattern(1, 100'000);
    where = made.handle(0, 0);
    view = made.private_view(0, made.bytes().size());
  }
  view.data()[5000] = std::byte{1};
  EXPECT_EQ(view.data()[5000], std::byte{1});
  view = private_view();
  store::collect();
  EXPECT_FALSE(store::exists(where));
}

TEST_F(Lifetime, HoldersAreCounted) {
  const region made = publish_pattern(1, 1000);
  if (made.holders() == 0) GTEST_SKIP() << "this kernel does not tell who holds a lock";
  EXPECT_EQ(made.holders(), 1u);
  EXPECT_EQ(store::holders(made.id()), 1u);
  EXPECT_EQ(store::holders(object_id::random()), 0u);
}

TEST_F(Lifetime, CollectLeavesWhatIsHeld) {
  const region made = publish_pattern(1, 1000);
  const auto removed = store::collect();
  EXPECT_EQ(removed.objects, 0u);
  EXPECT_TRUE(store::exists(made.handle(0, 0)));
  EXPECT_EQ(pattern_fault(made), "");
}

TEST_F(Lifetime, ALeaseKeepsTheObjectForTheReceiver) {
  handle where;
  {
    const region made = publish_pattern(1, 1000);
    where = made.handle(0, 60);
  }
  EXPECT_EQ(store::collect().objects, 0u);
  EXPECT_TRUE(store::exists(where));
  const auto all = store::list();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_GT(all[0].lease_seconds, 50);
  EXPECT_LE(all[0].lease_seconds, 61);
  const region attached = store::attach(where);
  EXPECT_EQ(pattern_fault(attached), "");
}

TEST_F(Lifetime, TheDefaultLeaseIsMinutes) {
  handle where;
  {
    const region made = publish_pattern(1, 1000);
    where = made.handle();
  }
  ASSERT_TRUE(is_listed(where.id));
  EXPECT_GT(store::list()[0].lease_seconds, 500);
  EXPECT_LE(store::list()[0].lease_seconds, 601);
}

TEST_F(Lifetime, AfterItsLeaseTheObjectIsCollected) {
  handle where;
  {
    const region made = publish_pattern(1, 1000);
    where = made.handle(0, 0.3);
  }
  EXPECT_EQ(store::collect().objects, 0u);
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  const auto removed = store::collect();
  EXPECT_EQ(removed.objects, 1u);
  EXPECT_GE(removed.bytes, 8000u);
  EXPECT_FALSE(store::exists(where));
}

TEST_F(Lifetime, AnExpiredLeaseDoesNotEndWhatIsHeld) {
  const region made = publish_pattern(1, 1000);
  const handle where = made.handle(0, 0.05);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(store::collect().objects, 0u);
  EXPECT_EQ(pattern_fault(store::attach(where)), "");
}

TEST_F(Lifetime, AShorterLeaseDoesNotCutALongerOne) {
  handle where;
  {
    const region made = publish_pattern(1, 1000);
    where = made.handle(0, 60);
    made.handle(0, 0);
    made.handle(0, 0.01);
  }
  EXPECT_TRUE(store::exists(where)) << "the receiver of the first handle was promised a minute";
}

TEST_F(Lifetime, KeptObjectsStayUntilRemoved) {
  handle where;
  {
    const region made = publish_pattern(1, 1000, {.keep = true});
    where = made.handle(0, 0);
  }
  EXPECT_EQ(store::collect().objects, 0u);
  ASSERT_EQ(store::list().size(), 1u);
  EXPECT_TRUE(std::isinf(store::list()[0].lease_seconds));
  EXPECT_EQ(pattern_fault(store::attach(where)), "");
  EXPECT_TRUE(store::exists(where)) << "also after somebody attached and let go";
  EXPECT_TRUE(store::remove(where.id));
  EXPECT_FALSE(store::remove(where.id));
  EXPECT_FALSE(store::exists(where));
}

// The kernel sets a file's modification time when a page of a shared mapping is first written.
TEST_F(Lifetime, WritingToAMutableObjectDoesNotEndItsLease) {
  handle leased, kept;
  {
    const auto numbers = make_writable<double>(100'000);
    leased = numbers.node().region().handle(0, 60);
    numbers.shared_writable()[50'000] = 1;
    const auto others = make_writable<double>(100'000, {.keep = true});
    kept = others.node().region().handle(0, 0);
    others.shared_writable()[50'000] = 1;
  }
  EXPECT_TRUE(store::exists(leased));
  EXPECT_TRUE(store::exists(kept));
  store::collect();
  EXPECT_TRUE(store::exists(leased));
  EXPECT_TRUE(store::exists(kept));
  for (const auto& entry : store::list()) {
    EXPECT_TRUE(entry.writable);
    EXPECT_GT(entry.lease_seconds, 50);
  }
}

TEST_F(Lifetime, PublishedBytesHaveTheirBlocks) {
  // A hole would ask for memory when it is first read; in a full file system that ends the reader with SIGBUS.
  const region made = publish_pattern(1, 100'000);
  const auto zeros = make_writable<double>(1'000'000);
  for (const region& each : {made, zeros.node().region()}) {
    struct stat info {};
    const int descriptor = each.open_descriptor();
    ASSERT_EQ(fstat(descriptor, &info), 0);
    close(descriptor);
    EXPECT_GE(static_cast<std::size_t>(info.st_blocks) * 512, each.bytes().size() / 4096 * 4096);
  }
}

TEST_F(Lifetime, AnEndlessLeaseIsKeeping) {
  handle where;
  {
    const region made = publish_pattern(1, 1000);
    where = made.handle(0, 0);
    store::lease(where.id, INFINITY);
  }
  EXPECT_EQ(store::collect().objects, 0u);
  EXPECT_TRUE(store::exists(where));
}

TEST_F(Lifetime, ALeaseThatWasCutShortIsMadeLongAgainByTheNextHandle) {
  handle where;
  {
    const region made = publish_pattern(1, 1000);
    where = made.handle(0, 600);
    store::lease(where.id, 0);  // as another process might
    EXPECT_EQ(made.handle(0, 600).id, where.id);
  }
  EXPECT_TRUE(store::exists(where));
}

TEST_F(Lifetime, WhoAttachedUnderALeaseThatWasEndedIsStillTheLastOneOut) {
  handle where;
  {
    region made = publish_pattern(1, 1000);
    where = made.handle(0, 600);
    made = region();
    const region attached = store::attach(where);
    store::lease(where.id, 0);
  }
  EXPECT_FALSE(store::exists(where));
  EXPECT_TRUE(store::list().empty());
}

TEST_F(Lifetime, StrangeLeasesAreRefusedOrHarmless) {
  const region made = publish_pattern(1, 1000);
  for (const double seconds : {double{NAN}, 1e300, -1e300, -double{INFINITY}, 1e18, -0.0}) {
    try {
      store::lease(made.id(), seconds);
    } catch (const error& refused) {
      EXPECT_EQ(refused.kind(), error_kind::invalid_argument) << seconds;
    }
    EXPECT_TRUE(store::exists(made.handle(0, 0))) << seconds;
    EXPECT_EQ(store::list().size(), 1u);
  }
  EXPECT_EQ(kind_thrown_by([] { store::lease(object_id::random(), 5); }), error_kind::not_found);
}

TEST_F(Lifetime, RemovedObjectsStayReadableForTheirHolders) {
  const region made = publish_pattern(1, 100'000);
  const handle where = made.handle(0, 0);
  EXPECT_TRUE(store::remove(made.id()));
  EXPECT_FALSE(store::exists(where));
  EXPECT_FALSE(is_listed(made.id()));
  EXPECT_EQ(pattern_fault(made), "");
  EXPECT_EQ(kind_thrown_by([&] { store::lease(made.id(), 5); }), error_kind::not_found);
  store::collect();
  EXPECT_EQ(pattern_fault(made), "");
}

TEST_F(Lifetime, ThousandObjectsComeAndGo) {
  std::vector<region> all;
  for (std::uint64_t i = 0; i < 1000; ++i) all.push_back(publish_pattern(i, 2 + i));
  EXPECT_EQ(store::list().size(), 1000u);
  for (std::uint64_t i = 0; i < all.size(); ++i) EXPECT_EQ(pattern_fault(all[i]), "") << i;
  for (std::size_t i = 0; i < all.size(); i += 2) all[i] = region();
  EXPECT_EQ(store::list().size(), 500u);
  all.clear();
  EXPECT_TRUE(store::list().empty());
}

}  // namespace
