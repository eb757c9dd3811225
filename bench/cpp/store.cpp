// Many objects: made and freed one after the other, 100,000 in one store, 60,000 held by one process.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>

#include "onecopy/onecopy.hpp"
#include "support/measure.hpp"

namespace {

const std::vector<double> small(10, 2.5);

std::string plain_name(std::size_t i) { return "/onecopy-bench-" + std::to_string(getpid()) + "-" + std::to_string(i); }

// What a program does without a library: a file in shared memory, sized, mapped, filled.
void* make_plain(const std::string& name) {
  const int file = shm_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, 4096) != 0) std::abort();
  void* address = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (address == MAP_FAILED) std::abort();
  std::memcpy(address, small.data(), small.size() * sizeof(double));
  return address;
}

double create_and_free(std::size_t times) {
  return static_cast<double>(times) / bench::time_of([&] {
           for (std::size_t i = 0; i < times; ++i) onecopy::share(std::span<const double>(small));
         });
}
double create_and_free_plain(std::size_t times) {
  const std::string name = plain_name(std::size_t(-1));
  return static_cast<double>(times) / bench::time_of([&] {
           for (std::size_t i = 0; i < times; ++i) {
             munmap(make_plain(name), 4096);
             shm_unlink(name.c_str());
           }
         });
}

// Reads the directory and asks for the size of each file, as `ls -l` does.
double list_plain(const std::string& path, std::size_t& seen) {
  return bench::time_of([&] {
    seen = 0;
    DIR* directory = opendir(path.c_str());
    if (directory == nullptr) std::abort();
    while (const dirent* entry = readdir(directory)) {
      struct stat info {};
      if (fstatat(dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode)) ++seen;
    }
    closedir(directory);
  });
}

void full_store() {
  const std::size_t objects = bench::sized<std::size_t>(100'000, 200);
  const std::string full = "a store with " + std::to_string(objects) + " objects";
  std::vector<onecopy::object_id> ids;
  bench::samples made;
  made.ours.push_back(static_cast<double>(objects) / bench::time_of([&] {
    for (std::size_t i = 0; i < objects; ++i)
      ids.push_back(onecopy::share(std::span<const double>(small), {.keep = true}).node().region().id());
  }));
  made.baseline.push_back(static_cast<double>(objects) / bench::time_of([&] {
    for (std::size_t i = 0; i < objects; ++i) munmap(make_plain(plain_name(i)), 4096);
  }));
  bench::write("cpp", {"store-fill", "fill " + full, "1/s", "shm_open, ftruncate, mmap, munmap"}, made);

  const std::size_t times = bench::sized<std::size_t>(5000, 20);
  const auto taken = bench::interleaved(7, [&] { return create_and_free(times); },
                                        [&] { return create_and_free_plain(times); });
  bench::write("cpp", {"store-churn", "create and free in " + full, "1/s",
                       "shm_open, ftruncate, mmap, munmap, shm_unlink", bench::at_least(20'000)}, taken);

  std::size_t listed = 0, seen = 0;
  const auto lists = bench::interleaved(
      7, [&] { return bench::time_of([&] { listed = onecopy::store::list().size(); }); },
      [&] { return list_plain(onecopy::store::directory(), seen); });
  if (listed != objects || seen != objects) {
    std::cerr << "listed " << listed << " and " << seen << " instead of " << objects << std::endl;
    std::exit(1);
  }
  bench::write("cpp", {"store-list", "list " + full, "s", "readdir and fstatat of each", bench::at_most(0.5)}, lists);

  bench::samples removed;
  removed.ours.push_back(static_cast<double>(objects) / bench::time_of([&] {
    for (const auto& id : ids) onecopy::store::remove(id);
  }));
  removed.baseline.push_back(static_cast<double>(objects) / bench::time_of([&] {
    for (std::size_t i = 0; i < objects; ++i) shm_unlink(plain_name(i).c_str());
  }));
  bench::write("cpp", {"store-empty", "remove each of " + std::to_string(objects) + " objects", "1/s", "shm_unlink"},
               removed);
}

void hold_many() {
  const std::size_t objects = bench::sized<std::size_t>(60'000, 200);
  const std::string what = "one process holds " + std::to_string(objects) + " objects: make, read, let go of all";
  bench::samples taken;
  double sum = 0;
  for (int round = 0; round < bench::sized(3, 1); ++round) {
    taken.ours.push_back(bench::time_of([&] {
      std::vector<onecopy::array<double>> held;
      held.reserve(objects);
      for (std::size_t i = 0; i < objects; ++i) held.push_back(onecopy::share(std::span<const double>(small)));
      for (const auto& one : held) sum += one[3];
    }));
    taken.baseline.push_back(bench::time_of([&] {
      std::vector<void*> held;
      for (std::size_t i = 0; i < objects; ++i) held.push_back(make_plain(plain_name(i)));
      for (void* one : held) sum += static_cast<const double*>(one)[3];
      for (std::size_t i = 0; i < objects; ++i) {
        munmap(held[i], 4096);
        shm_unlink(plain_name(i).c_str());
      }
    }));
  }
  bench::keep(&sum);
  bench::write("cpp", {"hold-many", what, "s", "shm_open and mmap for each", bench::at_most(6),
                       "the goal is that it works; 6 s is 20,000/s for both making and freeing"}, taken);
}

}  // namespace

int main() {
  const std::size_t times = bench::sized<std::size_t>(5000, 20);
  const auto taken = bench::interleaved(9, [&] { return create_and_free(times); },
                                        [&] { return create_and_free_plain(times); });
  bench::write("cpp", {"churn", "create and free an object of 10 doubles", "1/s",
                       "shm_open, ftruncate, mmap, munmap, shm_unlink", bench::at_least(20'000)}, taken);
  full_store();
  hold_many();
}
