#include "pager/client.hpp"

#include <cstring>

#include "os/file.hpp"
#include "os/flags.hpp"
#include "os/process.hpp"
#include "os/socket.hpp"
#include "os/touched_memory.hpp"
#include "pager/start.hpp"

namespace onecopy::detail {

lazy_attachment::~lazy_attachment() { pager::client::instance().detach(*this); }

}  // namespace onecopy::detail

namespace onecopy::pager {

client& client::instance() {
  static auto* only = new client;
  return *only;
}

client::client() { os::around_fork(before_fork, after_fork_in_parent, after_fork_in_child); }

void client::set_notice(std::function<void(const lazy_vector&)> notice) {
  std::lock_guard hold(mutex_);
  notice_ = std::move(notice);
  if (notice_ && !in_place_.empty()) start_reporting();
}

result<std::shared_ptr<lazy_attachment>> client::attach(os::fd locked, std::string path) {
  auto made = std::make_shared<lazy_attachment>();
  auto file = object_file::open(locked.get(), false);
  if (!file) return file.reason();
  made->file = *std::move(file);
  made->path = std::move(path);
  made->note = made->file.note();
  made->id = made->file.id();
  made->leaves = hold_leaves(made->file, made->path.substr(0, made->path.rfind('/')));
  if (made->file.in_place()) return attach_in_place(std::move(made));
  const std::uint64_t size = made->file.mapped_bytes();
  if (size == 0) return made;  // nothing to map, nothing to fill
  {
    std::unique_lock hold(mutex_);
    if (auto ok = use_directory(hold, made->path.substr(0, made->path.rfind('/'))); !ok) return ok.reason();
    if (!faults_.descriptor.valid()) {
      auto opened = os::make_userfault();
      if (!opened) return opened.reason();
      faults_ = *std::move(opened);
      // A connection that was made only to ask for something has told the pager of no userfaultfd. If this fails, the
      // next pager is told of it from the start.
      if (connected_) (void)send({.what = ask::hello}, faults_.descriptor.get());
    }
  }
  const bool shared = made->file.writable();
  auto mapped = os::mapping::map(locked.get(), made->file.header().data_offset, size,
                                 shared ? os::map_mode::shared : os::map_mode::private_pages);
  if (!mapped) return mapped.reason();
  locked.reset();  // the mapping holds the lock
  os::expect_page_faults(mapped->data(), size);
  {
    std::lock_guard hold(mutex_);  // a fork now would leave the child with a mapping that nobody fills
    if (auto ok = os::register_faults(faults_.descriptor.get(), mapped->data(), size, shared); !ok) return ok.reason();
    made->data = *std::move(mapped);
    attachments_[made->base()] = made;
  }
  request what{.what = ask::attach, .base = made->base(), .size = size};
  std::memcpy(what.id, made->id.bytes.data(), sizeof what.id);
  auto answer = call(what);
  if (!answer) return answer.reason();  // the destructor takes all of it back
  if (auto ok = answer->outcome(); !ok) return ok.reason();
  return made;
}

status client::use_directory(std::unique_lock<std::mutex>& hold, const std::string& directory) {
  if (directory_ == directory) return done();
  for (const auto& [base, weak] : attachments_)
    if (!weak.expired())
      return failure{error_kind::unsupported, "use a lazy object in " + directory,
                     "this process has lazy objects of " + directory_, "Let go of them first: one store at a time"};
  if (connected_) {
    os::shut_down(socket_.get());
    changed_.wait_for(hold, std::chrono::seconds(10), [&] { return !connected_; });
    if (connected_) return failure{error_kind::timeout, "use another store", "the old pager doesn't let go", ""};
  }
  directory_ = directory;
  return done();
}

void client::detach(lazy_attachment& which) noexcept {
  if (which.file && which.file.in_place()) return detach_in_place(which);
  if (which.data.data() == nullptr) return;
  bool tell = false;
  {
    std::lock_guard hold(mutex_);
    attachments_.erase(which.base());
    tell = connected_;
    if (tell && is_watcher()) {  // the last reference was its own; it can't wait for a reply to itself
      (void)send({.what = ask::detach, .base = which.base()}, -1);
      tell = false;
    }
  }
  try {
    // Nobody need be told when there is no pager: the next one won't hear of this mapping.
    if (tell) (void)call({.what = ask::detach, .base = which.base()});
  } catch (...) {  // no memory for the message; the pager finds out when it next answers a fault there
  }
  which.data = {};
}

result<reply> client::call(request what) {
  std::unique_lock hold(mutex_);
  if (what.base == 0) {  // of no object: about the store that is current now
    auto found = lazy_directory();
    if (!found) return found.reason();
    if (auto ok = use_directory(hold, *found); !ok) return ok.reason();
  }
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (!connected_) {
      if (what.what == ask::detach) return reply{};
      if (stuck_) return *cant_connect_;
      start_watching(hold);
      wanted_ = true;
      const std::uint64_t before = generation_;
      changed_.notify_all();
      changed_.wait(hold, [&] { return connected_ || generation_ != before; });
      wanted_ = false;
      if (!connected_) {
        if (cant_connect_) return *cant_connect_;
        continue;
      }
    }
    what.sequence = next_sequence_++;
    const std::uint64_t mine = generation_;
    replies_[what.sequence] = std::nullopt;
    if (!send(what, -1)) {
      // The watching thread sees the end of the connection as well, and makes another.
      replies_.erase(what.sequence);
      changed_.wait_for(hold, std::chrono::milliseconds(200), [&] { return generation_ != mine; });
      continue;
    }
    changed_.wait(hold, [&] { return replies_[what.sequence].has_value() || generation_ != mine; });
    auto answer = replies_[what.sequence];
    replies_.erase(what.sequence);
    if (answer) return *answer;
  }
  return failure{error_kind::peer_closed, "ask the pager", "it ended again and again",
                 "Set ONECOPY_PAGER_LOG to a file, and look at what it says there"};
}

status client::send(const request& what, int descriptor) {
  const std::span<const std::byte> pieces[] = {std::as_bytes(std::span(&what, 1))};
  const int descriptors[] = {descriptor};
  return os::send_message(socket_.get(), pieces, std::span(descriptors, descriptor >= 0 ? 1u : 0u),
                          os::deadline::in(3));  // longer only if the pager reads nothing, and then others must act
}

void client::clear_trouble(lazy_attachment& which) {
  std::lock_guard hold(which.mutex);
  which.trouble.reset();
  which.troubled = false;
  for (const auto& [offset, size] : which.planted) {
    void* address = which.data.data() + offset;
    if (!which.file.writable()) {
      os::drop_private_pages(address, size);
      continue;
    }
    // A shared mapping has memory of its own in place of the failed chunk: put the file back.
    auto file = os::open_file(which.path, O_RDWR);
    if (!file || !os::replace_with_file(address, size, file->get(), which.file.header().data_offset + offset)) continue;
    os::expect_page_faults(address, size);
    if (!os::register_faults(faults_.descriptor.get(), address, size, true)) os::forbid_access(address, size);
  }
  which.planted.clear();
}

}  // namespace onecopy::pager
