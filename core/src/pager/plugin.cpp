// Sources in shared libraries: the process that loads one and calls its functions.
#include <algorithm>
#include <map>
#include <stdexcept>

#include "base/result.hpp"
#include "onecopy/lazy_plugin.hpp"
#include "os/library.hpp"
#include "os/process.hpp"
#include "pager/runner.hpp"

namespace onecopy {

std::string library_of(const void* function) { return os::file_of_code(function); }

namespace pager {

namespace {

class plugin_runner final : public lazy_runner {
 public:
  explicit plugin_runner(std::span<const std::string> libraries) {
    if (libraries.empty()) problem_ = "no library was named";
    // The last one is the plugin; what it needs comes before it, and may be found by other means if not there.
    for (const std::string& path : libraries) {
      auto loaded = os::load_library(path);
      if (&path != &libraries.back()) continue;
      if (!loaded) {
        problem_ = loaded.reason().tried + ": " + loaded.reason().happened;
        return;
      }
      const auto make =
          reinterpret_cast<onecopy_lazy_plugin_function>(os::find_function(*loaded, "onecopy_lazy_plugin_1"));
      if (make != nullptr) table_ = make();
      if (table_ == nullptr || table_->version != 1 || table_->fill == nullptr)
        problem_ = path + " is no plugin of this version of onecopy: it needs ONECOPY_LAZY_PLUGIN";
    }
  }

  void fill(const object& which, std::uint64_t first, std::span<std::byte> out) override {
    auto& known = use(which);
    call([&](char* text, std::uint64_t room) {
      return table_->fill(&known, first, out.size() / known.item_bytes, out.data(), text, room);
    });
  }
  void save(const object& which, std::uint64_t first, std::span<const std::byte> changed) override {
    auto& known = use(which);
    if (table_->save == nullptr) return lazy_runner::save(which, first, changed);
    call([&](char* text, std::uint64_t room) {
      return table_->save(&known, first, changed.size() / known.item_bytes, changed.data(), text, room);
    });
  }
  void forget(const object_id& id) override {
    const auto found = known_.find(id);
    if (found == known_.end()) return;
    if (table_->destroy != nullptr) table_->destroy(&found->second.as_seen);
    known_.erase(found);
  }

 private:
  struct entry {
    object own;
    onecopy_lazy_object as_seen{};
  };

  onecopy_lazy_object& use(const object& which) {
    if (!problem_.empty()) throw std::runtime_error(problem_);
    const auto [found, fresh] = known_.try_emplace(which.id);
    if (fresh) {
      found->second.own = which;
      auto& seen = found->second.as_seen;
      std::copy(which.id.bytes.begin(), which.id.bytes.end(), seen.id);
      seen.type = static_cast<std::uint32_t>(which.type);
      seen.item_bytes = static_cast<std::uint32_t>(onecopy::size_of(which.type));
      seen.size = which.size;
      seen.payload = found->second.own.payload.data();
      seen.payload_bytes = found->second.own.payload.size();
    }
    return found->second.as_seen;
  }

  template <class F>
  static void call(F&& work) {
    char text[2000] = {};
    if (work(text, sizeof text) == 0) return;
    text[sizeof text - 1] = 0;
    throw std::runtime_error(text[0] != 0 ? text : "it failed without saying why");
  }

  std::string problem_;
  const onecopy_lazy_plugin* table_ = nullptr;
  std::map<object_id, entry> known_;
};

}  // namespace

int serve_plugin(std::span<const std::string> libraries) { return plugin_runner(libraries).serve(); }

}  // namespace pager

lazy_source lazy_source::plugin(const std::string& library, std::string payload, std::string description) {
  lazy_source made{"plugin", {{"payload", std::move(payload)}, {"description", std::move(description)}}};
  std::vector<std::string> all = os::needed_libraries(library);
  all.push_back(library);
  for (std::size_t i = 0; i < all.size(); ++i) made.fields["library" + std::to_string(i)] = all[i];
  return made;
}

}  // namespace onecopy
