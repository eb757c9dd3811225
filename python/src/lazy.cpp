// Lazy vectors: memory that the pager fills when it is touched, and the runner that the pager starts for functions in
// Python.
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <map>
#include <mutex>

#include "bindings.hpp"
#include "onecopy/lazy.hpp"

namespace onecopy_python {
namespace {

using onecopy::lazy_vector;

// A lazy vector as an object with the buffer protocol: what lazy arrays have as their base.
struct lazy_memory {
  lazy_vector vector;
  bool private_writes = false;
};

int lazy_buffer(PyObject* self, Py_buffer* out, int flags) {
  const auto& m = *nb::inst_ptr<lazy_memory>(self);
  const bool may_write = m.private_writes || m.vector.writable();
  return PyBuffer_FillInfo(out, self, m.vector.data(), static_cast<Py_ssize_t>(m.vector.bytes()), may_write ? 0 : 1,
                           flags);
}

PyType_Slot lazy_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(lazy_buffer)}, {0, nullptr}};

// ---- touches outside of a guarded call

// Calls that look for errors themselves when they end, in any thread.
std::atomic<int> guarded_calls{0};

struct noted_failures {
  std::mutex mutex;
  std::vector<lazy_vector> vectors;
};
noted_failures& noted() {
  static auto* all = new noted_failures;
  return *all;
}

// The errors taken so far, by mapping. Two threads may touch what can't be filled, and only one of them gets the error
// from the core: the other sees here that there was one since it began. Entries are few, and stay.
struct taken_error {
  std::uint64_t number = 0;
  std::optional<onecopy::error> last;
};
struct taken_errors {
  std::mutex mutex;  // held while an error is taken: whoever begins then sees either the old pages or the new number
  std::map<const std::byte*, taken_error> by_mapping;
};
taken_errors& taken() {
  static auto* all = new taken_errors;
  return *all;
}

std::uint64_t errors_so_far(const lazy_vector& of) {
  std::lock_guard hold(taken().mutex);
  const auto found = taken().by_mapping.find(of.data());
  return found == taken().by_mapping.end() ? 0 : found->second.number;
}

// The error of a touch since errors_so_far() gave `since`, whoever took it.
std::optional<onecopy::error> take_error(const lazy_vector& of, std::uint64_t since) {
  std::lock_guard hold(taken().mutex);
  auto found = taken().by_mapping.find(of.data());
  if (auto fresh = of.take_error()) {
    if (found == taken().by_mapping.end()) found = taken().by_mapping.try_emplace(of.data()).first;
    ++found->second.number;
    found->second.last.emplace(*fresh);
    return fresh;
  }
  if (found != taken().by_mapping.end() && found->second.number != since) return found->second.last;
  return std::nullopt;
}

// Runs in the main thread, between two steps of the interpreter.
int raise_noted(void*) {
  if (guarded_calls.load() != 0) return 0;  // it takes the error itself; when it ends, this runs again
  std::vector<lazy_vector> vectors;
  {
    std::lock_guard hold(noted().mutex);
    vectors.swap(noted().vectors);
  }
  std::optional<onecopy::error> first;
  {
    nb::gil_scoped_release unlocked;
    for (const auto& one : vectors) {
      try {
        auto error = take_error(one, errors_so_far(one));
        if (error && !first) first.emplace(*error);
      } catch (const std::exception&) {
        // The pager is gone for good; what was wrong first is what counts.
      }
    }
    vectors.clear();
  }
  if (!first) return 0;
  // Translated as any other error of the core: by calling something that throws it.
  try {
    nb::module_::import_("onecopy._core")
        .attr("raise_error")(onecopy::name_of(first->kind()), first->tried(), first->happened(), first->remedy(),
                             first->os_error());
  } catch (nb::python_error& e) {
    e.restore();
    return -1;
  }
  return 0;
}

// In a thread of the core, without the interpreter's lock.
void note_failure(const lazy_vector& which) {
  {
    std::lock_guard hold(noted().mutex);
    noted().vectors.push_back(which);
  }
  if (Py_IsInitialized() != 0) (void)Py_AddPendingCall(raise_noted, nullptr);
}

// ---- the runner

class python_runner : public onecopy::lazy_runner {
 public:
  explicit python_runner(nb::object define) : define_(std::move(define)) {}

  void fill(const object& which, std::uint64_t first, std::span<std::byte> out) override {
    work(which, 0, first, out.data(), out.size(), PyBUF_WRITE);
  }
  void save(const object& which, std::uint64_t first, std::span<const std::byte> changed) override {
    work(which, 1, first, const_cast<std::byte*>(changed.data()), changed.size(), PyBUF_READ);
  }
  void forget(const onecopy::object_id& id) override {
    nb::gil_scoped_acquire locked;
    functions_.erase(id);
  }

 private:
  // `define` makes a pair of functions of a payload; each returns None, or a text that says what went wrong.
  void work(const object& which, int what, std::uint64_t first, std::byte* at, std::size_t size, int flags) {
    nb::gil_scoped_acquire locked;
    std::string problem;
    try {
      auto found = functions_.find(which.id);
      if (found == functions_.end()) {
        nb::object made = define_(nb::bytes(which.payload.data(), which.payload.size()), which.id.text());
        if (nb::isinstance<nb::str>(made)) throw std::runtime_error(nb::cast<std::string>(made));
        found = functions_.emplace(which.id, std::move(made)).first;
      }
      nb::object view = nb::steal(
          PyMemoryView_FromMemory(reinterpret_cast<char*>(at), static_cast<Py_ssize_t>(size), flags));
      nb::object said = found->second[what](first, view);
      if (said.is_none()) return;
      problem = nb::cast<std::string>(said);
    } catch (nb::python_error& e) {
      problem = e.what();
    }
    throw std::runtime_error(problem);
  }

  nb::object define_;
  std::map<onecopy::object_id, nb::object> functions_;
};

nb::tuple counters_of(const lazy_vector::counters& c) {
  return nb::make_tuple(c.fills, c.evictions, c.failures, c.resident_bytes, c.spilled_bytes);
}

}  // namespace

void bind_lazy(nb::module_& m) {
  using release = nb::call_guard<nb::gil_scoped_release>;
  using range = void (lazy_vector::*)(std::uint64_t, std::uint64_t) const;
  auto memory = nb::class_<lazy_memory>(m, "LazyMemory", nb::type_slots(lazy_slots), nb::is_weak_referenceable());
  const auto on_range = [&memory](const char* name, range what) {
    memory.def(name, [what](const lazy_memory& self, std::uint64_t offset, std::uint64_t size) {
      (self.vector.*what)(offset, size);
    }, release());
  };
  on_range("ensure", &lazy_vector::ensure);
  on_range("prefetch", &lazy_vector::prefetch);
  on_range("release", &lazy_vector::release);
  on_range("flush", &lazy_vector::flush);
  on_range("pin", &lazy_vector::pin);
  on_range("unpin", &lazy_vector::unpin);
  memory
      .def_prop_ro("address",
                   [](const lazy_memory& self) { return reinterpret_cast<std::uintptr_t>(self.vector.data()); })
      .def_prop_ro("size", [](const lazy_memory& self) { return self.vector.bytes(); })
      .def_prop_ro("type", [](const lazy_memory& self) { return static_cast<int>(self.vector.type()); })
      .def_prop_ro("count", [](const lazy_memory& self) { return self.vector.size(); })
      .def_prop_ro("chunk", [](const lazy_memory& self) { return self.vector.chunk_bytes(); })
      .def_prop_ro("id", [](const lazy_memory& self) { return self.vector.id().text(); })
      .def_prop_ro("in_place", [](const lazy_memory& self) { return self.vector.in_place(); })
      .def_prop_ro("writable", [](const lazy_memory& self) { return self.vector.writable(); })
      .def_ro("private_writes", &lazy_memory::private_writes)
      .def_prop_ro("note",
                   [](const lazy_memory& self) {
                     const auto& note = self.vector.note();
                     return nb::bytes(note.data(), note.size());
                   })
      .def("resident", [](const lazy_memory& self, std::uint64_t offset, std::uint64_t size) {
        return self.vector.resident(offset, size);
      })
      .def("counters", [](const lazy_memory& self) { return counters_of(self.vector.count()); })
      .def("handle", [](const lazy_memory& self, double lease) { return self.vector.handle(lease).text(); },
           nb::arg("lease_seconds") = -1.0, release())
      .def("another_view", [](const lazy_memory& self, bool private_writes) {
             return lazy_memory{self.vector.another_view(), private_writes};
           }, release())
      .def("errors", [](const lazy_memory& self) { return errors_so_far(self.vector); })
      .def("raise_error", [](const lazy_memory& self, std::uint64_t since) {
        std::optional<onecopy::error> error;
        {
          nb::gil_scoped_release unlocked;
          error = take_error(self.vector, since);
        }
        if (error) throw onecopy::error(*error);
      });

  m.def("make_lazy",
        [](int type, std::uint64_t count, const std::string& kind, const std::map<std::string, std::string>& fields,
           const std::vector<std::string>& command, nb::bytes payload, const std::string& description,
           std::uint64_t chunk, double deadline, bool writable, bool write_back, nb::bytes note, bool private_writes,
           bool in_place) {
          onecopy::lazy_source source{kind, fields};
          if (kind == "program")
            source = onecopy::lazy_source::program(command, std::string(payload.c_str(), payload.size()), description);
          const onecopy::lazy_options options{.chunk_bytes = chunk, .deadline_seconds = deadline, .writable = writable,
                                              .write_back = write_back, .in_place = in_place,
                                              .note = {note.c_str(), note.size()}};
          nb::gil_scoped_release unlocked;
          return lazy_memory{onecopy::make_lazy(static_cast<onecopy::dtype>(type), count, source, options),
                             private_writes};
        });
  m.def("attach_lazy", [](const std::string& handle, bool private_writes) {
    return lazy_memory{onecopy::attach_lazy(onecopy::handle::parse(handle)), private_writes};
  }, release());
  m.def("is_lazy", [](const std::string& handle) { return onecopy::is_lazy(onecopy::handle::parse(handle)); });
  m.def("guard_begins", [] { ++guarded_calls; });
  m.def("guard_ends", [] {
    if (--guarded_calls != 0) return;
    std::lock_guard hold(noted().mutex);
    if (!noted().vectors.empty()) (void)Py_AddPendingCall(raise_noted, nullptr);
  });
  m.def("pager_look", [] {
    onecopy::pager::statistics s;
    {
      nb::gil_scoped_release unlocked;
      s = onecopy::pager::look();
    }
    return nb::make_tuple(s.budget, s.resident, s.peak_resident, s.pinned, s.fills, s.evictions, s.failures, s.clients,
                          s.objects, s.process);
  });
  m.def("pager_budget", [](std::uint64_t bytes) { onecopy::pager::set_budget(bytes); }, release());
  m.def("pager_program", [](const std::string& path) { onecopy::pager::set_program(path); });
  m.def("pager_list", [] {
    std::vector<onecopy::pager::entry> entries;
    {
      nb::gil_scoped_release unlocked;
      entries = onecopy::pager::list();
    }
    nb::list out;
    for (const auto& e : entries)
      out.append(nb::make_tuple(e.id.text(), onecopy::name_of(e.type), e.size, e.bytes, e.source,
                                counters_of(e.counters), e.in_place));
    return out;
  });
  m.def("pager_note_failures", [] { onecopy::pager::on_error(note_failure); });
  m.def("serve_runner", [](nb::object define) {
    python_runner runner(std::move(define));
    nb::gil_scoped_release unlocked;
    return runner.serve();
  });
}

}  // namespace onecopy_python
