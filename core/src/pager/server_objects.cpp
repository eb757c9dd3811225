// Which objects there are: opened on the first attach, or found in the store by a new pager; removed when nobody holds
// them.
#include <algorithm>
#include <cstring>

#include "os/file.hpp"
#include "os/flags.hpp"
#include "os/sparse.hpp"
#include "os/system.hpp"
#include "pager/server.hpp"

namespace onecopy::pager {

namespace {

std::string spill_directory() {
  const std::string chosen = os::environment("ONECOPY_SPILL");
  return chosen.empty() ? "/var/tmp" : chosen;
}

// Behind the elements, a spill file says whose it is. A store that was deleted as a whole takes its objects with it, and
// leaves nobody who would remember their spill files.
struct spill_owner {
  char mark[16] = "onecopy spill 1";
  char path[4080]{};
};

status sign_spill(const object& of) {
  spill_owner owner;
  if (of.path.size() >= sizeof owner.path)
    return failure{error_kind::invalid_argument, "open " + of.spill_path, "the store's path is too long",
                   "Set ONECOPY_DIR to a shorter one"};
  of.path.copy(owner.path, of.path.size());
  return os::write_at(of.spill.get(), std::as_bytes(std::span(&owner, 1)), of.file.mapped_bytes());
}

// Removes spill files of this user whose objects are no more, whichever store they were in. A pager that uses one holds
// a lock on it: another container may have the same folder and not see the same stores.
void collect_spills() {
  const std::string folder = spill_directory();
  auto opened = os::open_file(folder, O_RDONLY | O_DIRECTORY);
  if (!opened) return;
  std::vector<std::string> names;
  (void)os::for_each_entry(opened->get(), [&](const char* name) {
    const std::string_view text(name);
    if (text.starts_with("onecopy-") && text.ends_with(".spill")) names.emplace_back(name);
    return true;
  });
  for (const std::string& name : names) {
    const std::string path = folder + "/" + name;
    auto file = os::open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!file) continue;
    auto info = os::status_of(file->get(), path);
    spill_owner owner;
    if (!info || !S_ISREG(info->st_mode) || info->st_uid != os::user_id()) continue;
    const auto size = static_cast<std::uint64_t>(info->st_size);
    if (size < sizeof owner) continue;
    auto alone = os::try_lock_exclusive(file->get());
    if (!alone || !*alone) continue;
    if (!os::read_at(file->get(), std::as_writable_bytes(std::span(&owner, 1)), size - sizeof owner)) continue;
    owner.path[sizeof owner.path - 1] = 0;
    if (std::memcmp(owner.mark, spill_owner{}.mark, sizeof owner.mark) != 0) continue;
    const auto object = os::status_at(AT_FDCWD, owner.path);
    if (object && !*object) (void)os::remove_file(path);
  }
}

}  // namespace

attachment* server::find(std::uint64_t token, std::uint64_t base) {
  const auto by = clients_.find(token);
  if (by == clients_.end()) return nullptr;
  const auto found = by->second->attachments.find(base);
  return found == by->second->attachments.end() ? nullptr : &found->second;
}

result<object_pointer> server::open_object(const object_id& id) {
  if (const auto known = objects_.find(id); known != objects_.end()) return known->second;
  auto made = std::make_shared<object>();
  made->path = path_of(directory_, id);
  auto descriptor = os::open_file(made->path, O_RDWR);
  if (!descriptor) return descriptor.reason();
  auto file = object_file::open(descriptor->get(), true);
  if (!file) return file.reason();
  if (file->in_place())
    return failure{error_kind::unsupported, "open a lazy object", "it is a file that needs no pager", ""};
  made->descriptor = *std::move(descriptor);
  made->file = *std::move(file);
  if (made->file.id() != id)
    return failure{error_kind::corrupt, "open a lazy object", "its file has another object's name", ""};
  auto described = made->file.source();
  if (!described) return described.reason();
  const auto& head = made->file.header();
  auto from = make_source(*described, {id, static_cast<dtype>(head.type), head.item_bytes, head.count,
                                       static_cast<double>(head.deadline_ms) / 1000});
  if (from) made->from = *std::move(from);
  else made->no_source = from.reason();
  made->touched.resize(head.chunks);
  made->in_ring.resize(head.chunks);
  if (made->file.writable() && (head.flags & file_header::flag_write_back) == 0) {
    made->spill_path = spill_directory() + "/onecopy-" + id.text() + ".spill";
    auto spill = os::open_file(made->spill_path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (!spill) return spill.reason();
    auto info = os::status_of(spill->get(), made->spill_path);
    if (!info) return info.reason();
    if (info->st_uid != os::user_id())
      return failure{error_kind::permission, "open " + made->spill_path, "it belongs to another user",
                     "Set ONECOPY_SPILL to a directory of your own"};
    made->spill = *std::move(spill);
    if (auto ok = os::lock_shared(made->spill.get(), 5, "a spill file"); !ok) return ok.reason();
    if (auto ok = sign_spill(*made); !ok) return ok.reason();
  }
  made->unused_since = clock::now();
  recover(*made);
  for (std::uint64_t i = 0; i < head.chunks; ++i)
    if (made->file.state(i) == ready) put_in_ring(made, i);
  objects_.emplace(id, made);
  if (resident_ > budget_ / 16 * 15) room_needed_.notify_one();
  return made;
}

// The chunk table as a dead pager left it. A chunk whose only copy is in memory has `dirty` set until it was saved.
void server::recover(object& which) {
  auto& head = which.file.changing_header();
  std::uint64_t resident = 0;
  for (std::uint64_t i = 0; i < head.chunks; ++i) {
    auto& chunk = which.file.chunk(i);
    const std::uint8_t flags = chunk.load() & static_cast<std::uint8_t>(~state_mask);
    switch (chunk.load() & state_mask) {
      case evicting:
        if ((flags & dirty) != 0) {
          chunk.store(static_cast<std::uint8_t>(ready | flags));
          break;
        }
        [[fallthrough]];
      case filling:
        (void)os::punch_hole(which.descriptor.get(), head.data_offset + i * head.chunk_bytes, which.file.bytes_of(i));
        [[fallthrough]];
      case failed: chunk.store(static_cast<std::uint8_t>(absent | flags)); break;
      default: break;
    }
    if (which.file.state(i) == ready) resident += which.file.bytes_of(i);
  }
  head.resident_bytes = resident;
  resident_ += resident;
  peak_ = std::max(peak_, resident_);
}

namespace {

// Files that their makers didn't live to name: nobody has them locked.
void remove_unfinished(const std::string& directory) {
  auto folder = os::open_file(directory, O_RDONLY | O_DIRECTORY);
  if (!folder) return;
  std::vector<std::string> paths;
  (void)os::for_each_entry(folder->get(), [&](const char* entry) {
    const std::string_view name = entry;
    if (name.size() == 36 && name.ends_with(".new")) paths.push_back(directory + "/" + entry);
    return true;
  });
  for (const std::string& path : paths) {
    auto file = os::open_file(path, O_RDWR);
    if (!file) continue;
    if (auto alone = os::try_lock_exclusive(file->get()); alone && *alone) (void)os::remove_file(path);
  }
}

}  // namespace

void server::scan_store() {
  collect_spills();
  collect_in_place(directory_);
  remove_unfinished(directory_);
  const auto all = objects_in(directory_);
  if (!all) return;
  for (const object_id& id : *all)
    if (auto found = open_object(id)) (void)reap(*found);
}

// Whoever is killed after naming an object and before telling of it leaves one that no pager has heard of.
void server::collect_untold(guard& hold) {
  const auto is_held = [&](const object_id& id) {
    auto probe = os::open_file(path_of(directory_, id), O_RDONLY);
    if (!probe) return true;
    auto alone = os::try_lock_exclusive(probe->get());
    return !alone || !*alone;
  };
  hold.unlock();
  remove_unfinished(directory_);
  const auto all = objects_in(directory_);
  for (const object_id& id : all ? *all : std::vector<object_id>{}) {
    if (is_held(id)) continue;
    hold.lock();
    if (auto found = open_object(id)) (void)reap(*found);
    hold.unlock();
  }
  hold.lock();
}

// What was changed goes to its source before the object goes: its last holder may have been killed before it could
// flush. True if nothing is left to save. A source that refuses is asked again for a minute; not for ever, or the pager
// could never end.
bool server::save_last(const object_pointer& which) {
  if ((which->file.header().flags & file_header::flag_write_back) == 0) return true;
  bool changed = false;
  for (std::uint64_t i = 0; i < which->chunks() && !changed; ++i) changed = which->is_dirty(i);
  if (!changed || !which->from) return true;
  if (which->saving_since == clock::time_point{}) which->saving_since = clock::now();
  if (clock::now() - which->saving_since > std::chrono::minutes(1)) return true;
  if (which->saving || clock::now() < which->save_again) return false;
  which->saving = true;
  enqueue([this, which](guard& hold, std::span<std::byte>) {
    (void)flush(hold, which, {.offset = 0, .size = which->file.data_bytes()});
    which->saving = false;
  });
  return false;
}

// Removes an object that nobody holds and no lease keeps. True if it is gone.
bool server::reap(const object_pointer& which) {
  if (!which->attached.empty() || which->gone) return which->gone;
  if (static_cast<double>(which->file.header().lease_until.load()) > os::wall_clock()) return false;
  // Own description: a lock taken through ours would be shared with no one.
  auto probe = os::open_file(which->path, O_RDONLY);
  if (probe) {
    auto alone = os::try_lock_exclusive(probe->get());
    if (!alone || !*alone) return false;
    // Looked at again with the lock: nobody can extend the lease of an object that he doesn't hold.
    if (static_cast<double>(which->file.header().lease_until.load()) > os::wall_clock()) return false;
    // A chunk that a thread is working on now; the next tick comes soon.
    for (const job_pointer& one : jobs_)
      if (one->of == which) return false;
    for (std::uint64_t i = 0; i < which->chunks(); ++i)
      if (which->file.state(i) == evicting) return false;
    if (!save_last(which)) return false;
    (void)os::remove_file(which->path);
  }
  if (!which->spill_path.empty()) (void)os::remove_file(which->spill_path);
  which->gone = true;
  resident_ -= which->file.header().resident_bytes.load();
  objects_.erase(which->file.id());
  // Entries of the ring keep it mapped until the hand comes by.
  std::erase_if(ring_, [&](const auto& entry) { return entry.first == which; });
  room_made_.notify_all();
  return true;
}

}  // namespace onecopy::pager
