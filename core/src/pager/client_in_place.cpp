// Objects that are files mapped where they lie, as this process has them: no pager and no connection, but the same
// errors and the same end as all lazy objects.
#include "os/process.hpp"
#include "os/socket.hpp"
#include "os/system.hpp"
#include "pager/client.hpp"

namespace onecopy::pager {

namespace {
constexpr double collect_every = 60;  // seconds
}  // namespace

result<std::shared_ptr<lazy_attachment>> client::attach_in_place(std::shared_ptr<lazy_attachment> made) {
  auto source = made->file.source();
  if (!source) return source.reason();
  const auto where = place_of(*source, static_cast<dtype>(made->file.header().type));
  if (!where)
    return failure{error_kind::corrupt, "attach a lazy object", "its source is no file to be mapped",
                   "It was made by another version, or damaged: make it again"};
  auto mapped = in_place_file::map(*where, made->file.data_bytes(), made->file.header().item_bytes);
  if (!mapped) return mapped.reason();
  made->in_place = *std::move(mapped);
  const std::string directory = made->path.substr(0, made->path.rfind('/'));
  bool collect = false;
  {
    std::lock_guard hold(mutex_);
    in_place_[made.get()] = made;
    if (notice_) start_reporting();
    collect = os::wall_clock() - collected_ > collect_every || collected_directory_ != directory;
    if (collect) {
      collected_ = os::wall_clock();
      collected_directory_ = directory;
    }
  }
  if (collect) collect_in_place(directory);
  return made;
}

void client::detach_in_place(lazy_attachment& which) noexcept {
  {
    std::lock_guard hold(mutex_);
    in_place_.erase(&which);
  }
  which.in_place.reset();
  which.file = {};  // with its mapping goes the lock
  try {
    if (!which.path.empty()) remove_if_unheld(which.path);
  } catch (...) {  // no memory: the next collection finds it
  }
}

// mutex_ is held. If there can be no thread, errors wait until somebody asks for them.
void client::start_reporting() {
  if (reporting_) return;
  auto bell = os::bell::make();
  if (!bell) return;
  rescued_ = *std::move(bell);
  in_place_file::ring_when_failed(&rescued_);
  try {
    std::thread([this] { report_in_place(); }).detach();
    reporting_ = true;
  } catch (...) {
  }
}

// The thread that tells of failed touches: the handler of a signal can't.
void client::report_in_place() {
  os::block_signals();
  for (;;) {
    auto ready = os::wait_readable(rescued_.descriptor(), os::deadline::never());
    if (!ready) return;
    rescued_.drain();
    std::vector<std::shared_ptr<lazy_attachment>> held, failed;  // let go of when the mutex is free
    std::function<void(const lazy_vector&)> notice;
    {
      std::lock_guard hold(mutex_);
      for (const auto& [raw, weak] : in_place_) {
        auto one = weak.lock();
        if (!one) continue;
        held.push_back(one);
        if (one->in_place->news()) failed.push_back(std::move(one));
      }
      notice = notice_;
    }
    if (!notice) continue;
    for (const auto& one : failed) notice(lazy_vector(one));
  }
}

}  // namespace onecopy::pager
