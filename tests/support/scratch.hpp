// A directory of the test's own, and a store in it that no other process uses.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

#include <unistd.h>

namespace test {

// Made in /dev/shm, where stores live; removed with everything in it.
class scratch_folder {
 public:
  explicit scratch_folder(const std::string& parent = "/dev/shm") : owner_(getpid()) {
    std::string pattern = parent + "/onecopy-test-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("can't make a folder in " + parent);
    path_ = pattern;
  }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  ~scratch_folder() {
    // A forked child runs destructors too, and the folder is its parent's.
    if (getpid() != owner_) return;
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const noexcept { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
  pid_t owner_;
};

// Points ONECOPY_DIR to a fresh store for the whole program, before anything asks for it.
class own_store : public testing::Environment {
 public:
  own_store() { setenv("ONECOPY_DIR", (folder_ / "store").c_str(), 1); }

 private:
  scratch_folder folder_;
};
inline testing::Environment* const use_own_store = testing::AddGlobalTestEnvironment(new own_store);

}  // namespace test
