// Functions in shared libraries that fill lazy vectors.
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "onecopy/lazy_plugin.hpp"
#include "support/lazy.hpp"

namespace {

using namespace onecopy;
constexpr std::uint64_t MiB = 1u << 20;

lazy_array<double> made(const std::string& payload, lazy_options options = {}, const std::string& library = ONECOPY_TEST_PLUGIN) {
  return lazy<double>(MiB, lazy_source::plugin(library, payload, "squares"), options);
}

std::string message_of(const lazy_array<double>& x, std::uint64_t i) {
  try {
    (void)x.at(i);
    return "";
  } catch (const error& e) {
    return e.what();
  }
}

TEST(LazyPlugin, FillsWithTheLibrarysFunction) {
  auto x = made("");
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < x.size(); i += 7) wrong += x[i] != static_cast<double>(i) * static_cast<double>(i);
  EXPECT_EQ(wrong, 0u);
  const pid_t child = test::in_child([&] { return x[999'999] == 999'999.0 * 999'999.0 ? 0 : 1; });
  EXPECT_EQ(test::outcome_of(child), 0);
}

TEST(LazyPlugin, WhatItThrowsIsTheErrorOfTheTouch) {
  auto x = made("throws");
  EXPECT_EQ(x.at(5), 25.0);
  EXPECT_NE(message_of(x, 100'000).find("no square of 100000"), std::string::npos) << message_of(x, 100'000);
  EXPECT_TRUE(std::isnan(x[100'001]));
  EXPECT_EQ(x.at(500'000), 2.5e11);
  EXPECT_NE(message_of(made("throws a number"), 100'000).find("exception"), std::string::npos);
}

TEST(LazyPlugin, ACrashIsAnErrorAndNobodyElseDies) {
  auto x = made("crashes");
  EXPECT_NE(message_of(x, 100'000).find("signal 11"), std::string::npos) << message_of(x, 100'000);
  EXPECT_EQ(x.at(5), 25.0);
}

TEST(LazyPlugin, LibrariesThatAreNotThereOrNoPlugins) {
  EXPECT_NE(message_of(made("", {}, "/nonexistent/plugin.so"), 0).find("/nonexistent/plugin.so"), std::string::npos);
  const std::string other = library_of(reinterpret_cast<const void*>(&::getpid));  // the C library
  EXPECT_NE(message_of(made("", {}, other), 0).find("no plugin"), std::string::npos) << other;
  EXPECT_THROW((void)made("", {}, "relative.so"), error);
}

TEST(LazyPlugin, ChangesAreWrittenBack) {
  test::scratch_folder folder;
  const std::string log = folder / "log";
  auto x = made(log, {.writable = true, .write_back = true});
  x.writable_data()[10] = -1;
  x.vector().flush(0, x.vector().bytes());
  std::stringstream text;
  text << std::ifstream(log).rdbuf();
  EXPECT_EQ(text.str(), "0 8192\n");
}

TEST(LazyPlugin, WhatALibraryNeedsIsLoadedFirst) {
  EXPECT_EQ(this_library(), library_of(reinterpret_cast<const void*>(&message_of)));
  // The C++ library stands for a plugin: it needs the C library, which is found where it is loaded here.
  const std::string cxx = library_of(dlsym(RTLD_DEFAULT, "_ZSt9terminatev"));
  const auto source = lazy_source::plugin(cxx, "", "");
  std::vector<std::string> all;
  for (std::size_t i = 0; source.fields.contains("library" + std::to_string(i)); ++i)
    all.push_back(source.fields.at("library" + std::to_string(i)));
  ASSERT_GE(all.size(), 2u);
  EXPECT_EQ(all.back(), cxx);
  EXPECT_TRUE(std::any_of(all.begin(), all.end(), [](const auto& path) {
    return path.find("/libc.so") != std::string::npos;
  }));
}

}  // namespace
