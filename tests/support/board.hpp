// A few lines of text that killed processes can't damage for others: where churning peers post their handles.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace test {

class board {
 public:
  static constexpr std::size_t places = 16, place_bytes = 256;

  explicit board(const std::string& path) {
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof(content)) != 0) throw std::runtime_error("can't open the board " + path);
    void* memory = mmap(nullptr, sizeof(content), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) throw std::runtime_error("can't map the board");
    content_ = static_cast<content*>(memory);
  }
  board(const board&) = delete;
  board& operator=(const board&) = delete;
  ~board() { munmap(content_, sizeof(content)); }

  // The reader may see half of a line: then the handle does not parse, or is one of nothing.
  void post(std::size_t place, const std::string& text) {
    char* at = content_->lines[place % places];
    std::memset(at, 0, place_bytes);
    std::memcpy(at, text.data(), text.size() < place_bytes ? text.size() : place_bytes - 1);
  }
  // "" unless there is a whole line.
  std::string read(std::size_t place) const {
    char copy[place_bytes];
    std::memcpy(copy, content_->lines[place % places], place_bytes);
    copy[place_bytes - 1] = '\0';
    return std::strlen(copy) == whole_handle ? copy : "";
  }
  void fail(const std::string& what) {
    if (content_->faults.fetch_add(1) == 0) std::strncpy(content_->fault, what.c_str(), sizeof content_->fault - 1);
  }
  void count_success() { content_->successes.fetch_add(1); }
  int faults() const { return content_->faults; }
  std::uint64_t successes() const { return content_->successes; }
  std::string fault() const { return content_->fault; }

 private:
  static constexpr std::size_t whole_handle = sizeof("onecopy:1:") - 1 + 16 + 1 + 16 + 1 + 32;
  struct content {
    std::atomic<int> faults;
    std::atomic<std::uint64_t> successes;
    char fault[1000];
    char lines[places][place_bytes];
  };
  content* content_ = nullptr;
};

}  // namespace test
