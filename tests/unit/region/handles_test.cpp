// Handles that lead nowhere, and those that lead elsewhere.
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "support/expect.hpp"
#include "support/memfd.hpp"
#include "support/pattern.hpp"
#include "support/scratch.hpp"

namespace {

using namespace onecopy;
using test::kind_thrown_by, test::publish_pattern;

// Of an object that is not here: the host and the store say why.
TEST(Handles, OfAnotherHost) {
  handle where = publish_pattern(1, 1000).handle(0, 0);
  EXPECT_EQ(where.host, store::host_id());
  where.host = where.host[0] == '0' ? "1" + where.host.substr(1) : "0" + where.host.substr(1);
  EXPECT_EQ(kind_thrown_by([&] { store::attach(where); }), error_kind::wrong_host);
  EXPECT_FALSE(store::exists(where));
}

TEST(Handles, OfAnotherStore) {
  handle where = publish_pattern(1, 1000).handle(0, 0);
  EXPECT_EQ(where.store, store::store_id());
  where.store = where.store[0] == '0' ? "1" + where.store.substr(1) : "0" + where.store.substr(1);
  try {
    store::attach(where);
    ADD_FAILURE() << "attached";
  } catch (const error& refused) {
    EXPECT_EQ(refused.kind(), error_kind::wrong_host);
    EXPECT_FALSE(refused.remedy().empty()) << refused.what();
  }
}

TEST(Handles, OfNothing) {
  const region made = publish_pattern(1, 1000);
  handle where = made.handle(0, 0);
  where.id = object_id::random();
  EXPECT_EQ(kind_thrown_by([&] { store::attach(where); }), error_kind::not_found);
  EXPECT_FALSE(store::exists(where));
}

TEST(Handles, ThatAreNotWellFormedInside) {
  // A handle built by hand must not become a path.
  for (const std::string& part : {std::string(""), std::string("../.."), std::string(16, '/'), std::string("x")}) {
    handle where;
    where.host = store::host_id();
    where.store = part;
    EXPECT_THROW(store::attach(where), error) << part;
    where.store = store::store_id();
    where.host = part;
    EXPECT_THROW(store::attach(where), error) << part;
  }
}

TEST(Handles, OfANodeThatIsNotThere) {
  const region made = publish_pattern(1, 1000);
  handle where = made.handle(0, 0);
  where.node = 1'000'000;
  EXPECT_EQ(kind_thrown_by([&] { attach(where); }), error_kind::not_found);
  EXPECT_EQ(kind_thrown_by([&] { attach("onecopy:1:what"); }), error_kind::invalid_argument);
}

TEST(Handles, OfANodeInside) {
  const double numbers[] = {1, 2, 3};
  writer w;
  const auto first = w.list(w.root(), 2);
  w.array(first + 1, {.type = dtype::float64, .count = 3}, numbers);
  const value root{w.publish()};
  const value inner = attach(root.child(1).handle(0).text());
  EXPECT_EQ(inner.as<double>()[2], 3);
  EXPECT_EQ(inner.index(), root.child(1).index());
}

TEST(Handles, RegionsWithoutANameInTheStoreHaveNone) {
  NEEDS_SEALED_MEMFD();
  const region sealed = publish_pattern(1, 1000, {.where = backing::memfd});
  EXPECT_EQ(kind_thrown_by([&] { sealed.handle(); }), error_kind::unsupported);
  test::scratch_folder folder;
  const region file = publish_pattern(1, 1000, {.where = backing::file, .path = folder / "x.onecopy"});
  EXPECT_EQ(kind_thrown_by([&] { file.handle(); }), error_kind::unsupported);
}

TEST(Store, DirectoryIsOursAlone) {
  struct stat info {};
  ASSERT_EQ(lstat(store::directory().c_str(), &info), 0);
  EXPECT_TRUE(S_ISDIR(info.st_mode));
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  EXPECT_EQ(info.st_uid, geteuid());
}

TEST(Store, PublishedFilesCannotBeOpenedForWriting) {
  const region made = publish_pattern(1, 100'000);
  bool found = false;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store::directory())) {
    if (!entry.is_regular_file() || entry.file_size() < 800'000) continue;
    found = true;
    EXPECT_EQ(static_cast<unsigned>(entry.status().permissions()) & 0777, 0400u) << entry.path();
  }
  EXPECT_TRUE(found);
}

TEST(Store, StrangeFilesInItAreLeftAloneAndDisturbNobody) {
  const region made = publish_pattern(1, 1000, {.name = "mine"});
  const std::string stranger = store::directory() + "/a file of somebody else";
  { std::ofstream(stranger) << "hello"; }
  const std::string fake = store::directory() + "/" + object_id::random().text();
  { std::ofstream(fake) << "not a region"; }
  std::filesystem::create_directory(store::directory() + "/" + object_id::random().text());
  std::filesystem::create_symlink("/etc/passwd", store::directory() + "/" + object_id::random().text());
  std::size_t mine = 0;
  for (const auto& entry : store::list()) mine += entry.id == made.id();
  EXPECT_EQ(mine, 1u);
  EXPECT_NO_THROW(store::collect());
  EXPECT_EQ(store::attach_name("mine"), made);
  EXPECT_TRUE(std::filesystem::exists(stranger));
  EXPECT_TRUE(std::filesystem::exists("/etc/passwd"));
  handle where = made.handle(0, 0);
  for (const auto& entry : std::filesystem::directory_iterator(store::directory())) {
    try {
      where.id = object_id::parse(entry.path().filename().string());
    } catch (const error&) {
      continue;
    }
    if (where.id == made.id()) continue;
    try {
      store::attach(where);
      ADD_FAILURE() << "attached " << entry.path();
    } catch (const error& refused) {
      EXPECT_NE(refused.kind(), error_kind::system) << refused.what();
    }
  }
  for (const auto& entry : std::filesystem::directory_iterator(store::directory()))
    if (!entry.is_regular_file() || entry.path() == stranger || entry.path() == fake) std::filesystem::remove(entry);
}

TEST(Store, DoctorAnswersWithRemedies) {
  const auto checks = store::doctor();
  EXPECT_GE(checks.size(), 3u);
  for (const auto& check : checks) {
    EXPECT_FALSE(check.what.empty());
    EXPECT_FALSE(check.found.empty()) << check.what;
    EXPECT_TRUE(check.state != store::check::level::error || !check.remedy.empty()) << check.what;
  }
}

}  // namespace
