// Populate functions in processes of their own. This program is its own runner: `--runner` makes it one.
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "support/lazy.hpp"

namespace {

using namespace onecopy;
constexpr std::uint64_t MiB = 1u << 20;

class squares : public lazy_runner {
 public:
  void fill(const object& which, std::uint64_t first, std::span<std::byte> out) override {
    auto* items = reinterpret_cast<double*>(out.data());
    const std::size_t count = out.size() / sizeof(double);
    if (which.payload == "nested") {  // a lazy vector made from another one
      if (inner_.size() == 0) inner_ = attach_lazy<double>(handle::parse(getenv("ONECOPY_TEST_INNER")));
      for (std::size_t i = 0; i < count; ++i) items[i] = inner_[first + i] * 2;
      return;
    }
    for (std::size_t i = 0; i < count; ++i) {
      const double x = static_cast<double>(first + i);
      if (x == 100'000 && which.payload == "fails") throw std::runtime_error("no value for 100000");
      if (x == 100'000 && which.payload == "hangs") pause();
      if (x == 100'000 && which.payload == "dies") raise(SIGKILL);
      if (x == 100'000 && which.payload == "fails once" && once_++ == 0) throw std::runtime_error("not yet");
      items[i] = x * x;
    }
  }

 private:
  lazy_array<double> inner_;
  int once_ = 0;
};

lazy_array<double> made(const std::string& payload, std::uint64_t count = MiB, double deadline = 10) {
  char self[4096] = {};
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) throw std::runtime_error("no /proc");
  return lazy<double>(count, lazy_source::program({self, "--runner"}, payload, "squares"), {.deadline_seconds = deadline});
}

std::uint64_t wrong_squares(const double* data, std::uint64_t end, std::uint64_t step) {
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < end; i += step) wrong += data[i] != static_cast<double>(i) * static_cast<double>(i);
  return wrong;
}

TEST(LazyRunner, FillsAreTheFunctionsAndHappenOnce) {
  auto x = made("squares");
  EXPECT_EQ(wrong_squares(x.data(), x.size(), 1), 0u);
  EXPECT_EQ(x.vector().count().fills, x.vector().bytes() / 65536);
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i)
    children.push_back(test::in_child([&] { return wrong_squares(x.data(), x.size(), 10) == 0 ? 0 : 1; }));
  for (const pid_t child : children) EXPECT_EQ(test::outcome_of(child), 0);
  EXPECT_EQ(x.vector().count().fills, x.vector().bytes() / 65536);
}

TEST(LazyRunner, AnErrorNamesElementsAndReason) {
  auto x = made("fails");
  EXPECT_EQ(x.at(0), 0.0);
  try {
    x.at(100'000);
    FAIL();
  } catch (const error& e) {
    EXPECT_NE(std::string(e.what()).find("no value for 100000"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("squares"), std::string::npos) << e.what();
  }
  EXPECT_TRUE(std::isnan(x[100'000]));
  EXPECT_TRUE(test::soon([&] { return x.vector().take_error().has_value(); }));
  EXPECT_EQ(x[200'000], 4e10) << "other chunks are as good as before";
}

TEST(LazyRunner, WhatFailedOnceIsTriedAgain) {
  auto x = made("fails once");
  EXPECT_THROW(x.at(100'000), error);
  EXPECT_EQ(x.at(100'000), 1e10);
}

TEST(LazyRunner, AFunctionThatHangsIsATimeoutWithinItsDeadline) {
  auto x = made("hangs", MiB, 0.5);
  const auto begin = std::chrono::steady_clock::now();
  try {
    x.at(100'000);
    FAIL();
  } catch (const error& e) {
    EXPECT_EQ(e.kind(), error_kind::timeout);
  }
  EXPECT_TRUE(std::isnan(x[100'001]));
  EXPECT_TRUE(std::isnan(x[100'002])) << "at once: the first error was not taken yet";
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
  EXPECT_EQ(x.at(500'000), 2.5e11);
}

TEST(LazyRunner, AKilledRunnerIsAnErrorAndIsReplaced) {
  auto x = made("dies");
  try {
    x.at(100'000);
    FAIL();
  } catch (const error& e) {
    EXPECT_NE(std::string(e.what()).find("signal 9"), std::string::npos) << e.what();
  }
  EXPECT_EQ(x.at(500'000), 2.5e11);
}

TEST(LazyRunner, AProgramThatIsNotThereOrIsNoRunner) {
  for (const char* program : {"/nonexistent/program", "/bin/true"}) {
    auto x = lazy<double>(1000, lazy_source::program({program}, "", "nothing"), {.deadline_seconds = 5});
    EXPECT_THROW(x.at(0), error) << program;
    EXPECT_TRUE(std::isnan(x[0])) << program;
  }
  EXPECT_THROW((void)lazy<double>(10, lazy_source::program({}, "", "")), error);
}

TEST(LazyRunner, AFunctionMayReadOtherLazyVectors) {
  const int outcome = test::outcome_of(test::in_child([] {
    test::scratch_folder other;
    setenv("ONECOPY_DIR", (other / "store").c_str(), 1);
    setenv("ONECOPY_TEST_STORE", (other / "store").c_str(), 1);
    // A pager of this environment is wanted, so the handle must be known before it starts: it isn't. The runner gets it
    // from the pager's environment, so the pager is ended once.
    auto inner = test::numbers(4 * MiB);
    setenv("ONECOPY_TEST_INNER", inner.handle().text().c_str(), 1);
    kill(test::pager_process(), SIGKILL);
    auto x = made("nested", 4 * MiB);
    for (std::uint64_t i = 0; i < x.size(); i += 1000)
      if (x[i] != static_cast<double>(i) * 2) {
        x.at(i);
        return 1;
      }
    return 0;
  }));
  EXPECT_EQ(outcome, 0);
}

// A runner that has read a lazy vector is a client of the pager, and holds that vector.
TEST(LazyRunner, RunnersThatReadLazyVectorsDoNotKeepThePagerForEver) {
  test::scratch_folder other;
  const std::string pid_file = other / "pager";
  const int outcome = test::outcome_of(test::in_child([&] {
    setenv("ONECOPY_DIR", (other / "store").c_str(), 1);
    setenv("ONECOPY_TEST_STORE", (other / "store").c_str(), 1);
    auto inner = test::numbers(MiB);
    setenv("ONECOPY_TEST_INNER", inner.vector().handle(0).text().c_str(), 1);
    kill(test::pager_process(), SIGKILL);  // the next one has these variables, and so have its runners
    auto x = made("nested");
    if (x.at(1000) != 2000) return 1;
    std::ofstream(pid_file) << test::pager_process();
    return 0;
  }));
  ASSERT_EQ(outcome, 0);
  pid_t pager = 0;
  std::ifstream(pid_file) >> pager;
  ASSERT_GT(pager, 0);
  EXPECT_TRUE(test::soon([&] { return kill(pager, 0) != 0; }, 60)) << "its last user is gone";
}

TEST(LazyRunner, OnlyAPagersChildCanServe) {
  squares runner;
  const int outcome = test::outcome_of(test::in_child([&] {
    close(3);
    try {
      runner.serve();
    } catch (const error& e) {
      return e.kind() == error_kind::invalid_argument ? 0 : 2;
    }
    return 1;
  }));
  EXPECT_EQ(outcome, 0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--runner") == 0) {
    // The statics of the tests have made a store for this process. It uses its pager's, and may be killed at any time.
    std::error_code ignored;
    std::filesystem::remove_all(std::filesystem::path(getenv("ONECOPY_DIR")).parent_path(), ignored);
    std::filesystem::remove_all(getenv("ONECOPY_SPILL"), ignored);
    if (const char* store = getenv("ONECOPY_TEST_STORE")) setenv("ONECOPY_DIR", store, 1);
    return squares().serve();
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
