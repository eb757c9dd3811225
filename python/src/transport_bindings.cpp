// Channels, caches, mapped files and weak references.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "bindings.hpp"

namespace onecopy_python {
namespace {

using onecopy::channel;
using onecopy::value;
using release = nb::call_guard<nb::gil_scoped_release>;

// Ctrl-C ends a wait, as it does everywhere in Python.
void check_signals() {
  nb::gil_scoped_acquire locked;
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

onecopy::channel_options options_of(std::size_t inline_limit, const std::string& peer) {
  onecopy::channel_options options;
  options.inline_limit = inline_limit;
  options.assume = peer == "stranger"     ? onecopy::channel_options::peer::stranger
                   : peer == "same_store" ? onecopy::channel_options::peer::same_store
                                          : onecopy::channel_options::peer::automatic;
  options.check_interrupt = check_signals;
  return options;
}

// None, and the number of a node, or the error that the object is.
nb::list objects_of(const onecopy::message& m) {
  nb::list out;
  for (std::size_t i = 0; i < m.size(); ++i) {
    try {
      out.append(nb::cast(m.object(i)));
    } catch (const onecopy::error& e) {
      out.append(nb::make_tuple(onecopy::name_of(e.kind()), e.tried(), e.happened(), e.remedy(), e.os_error()));
    }
  }
  return out;
}

nb::tuple parts_of(const onecopy::message& m) {
  return nb::make_tuple(nb::bytes(reinterpret_cast<const char*>(m.bytes().data()), m.bytes().size()), objects_of(m));
}

void bind_channel(nb::module_& m) {
  nb::class_<channel>(m, "Channel", nb::is_weak_referenceable())
      .def("__init__",
           [](channel* self, int descriptor, std::size_t inline_limit, const std::string& peer) {
             const int own = onecopy::duplicate_descriptor(descriptor);
             try {
               new (self) channel(own, options_of(inline_limit, peer));
             } catch (...) {
               onecopy::close_descriptor(own);
               throw;
             }
           },
           nb::arg("descriptor"), nb::arg("inline_limit"), nb::arg("peer"))
      .def_static("pair",
                  [](std::size_t inline_limit, const std::string& peer) {
                    auto ends = channel::pair(options_of(inline_limit, peer));
                    return nb::make_tuple(nb::cast(std::move(ends.first)), nb::cast(std::move(ends.second)));
                  })
      .def_static("connect",
                  [](const std::string& path, double timeout, std::size_t inline_limit, const std::string& peer) {
                    return channel::connect(path, timeout, options_of(inline_limit, peer));
                  },
                  release())
      .def("send",
           [](channel& self, const std::vector<value>& objects, nb::handle bytes, double timeout) {
             Py_buffer view;
             if (PyObject_GetBuffer(bytes.ptr(), &view, PyBUF_SIMPLE) != 0) throw nb::python_error();
             struct finally {
               Py_buffer& held;
               ~finally() { PyBuffer_Release(&held); }
             } done{view};
             nb::gil_scoped_release unlocked;
             self.send(objects, std::string_view(static_cast<const char*>(view.buf), static_cast<std::size_t>(view.len)),
                       timeout);
           })
      .def("receive",
           [](channel& self, double timeout) {
             onecopy::message got = [&] {
               nb::gil_scoped_release unlocked;
               return self.receive(timeout);
             }();
             return parts_of(got);
           })
      .def("try_receive",
           [](channel& self) -> nb::object {
             auto got = self.try_receive();
             if (!got) return nb::none();
             return parts_of(*got);
           })
      .def_prop_ro("descriptor", &channel::descriptor)
      .def("peer",
           [](const channel& self) {
             const auto who = self.peer();
             return nb::make_tuple(who.user, who.process, who.same_store, who.known);
           })
      .def("wait_for_peer",
           [](channel& self, double timeout) {
             nb::gil_scoped_release unlocked;
             (void)self.wait_for_peer(timeout);
           })
      .def("close", &channel::close)
      .def("release", &channel::release);

  nb::class_<onecopy::listener>(m, "Listener")
      .def("__init__",
           [](onecopy::listener* self, const std::string& path, std::size_t inline_limit, const std::string& peer) {
             new (self) onecopy::listener(path, options_of(inline_limit, peer));
           })
      .def("accept", [](onecopy::listener& self, double timeout) { return self.accept(timeout); }, release())
      .def_prop_ro("descriptor", &onecopy::listener::descriptor)
      .def_prop_ro("path", &onecopy::listener::path);

  m.def("report_copies", [](std::uint64_t threshold, nb::object report) {
    if (report.is_none()) {
      onecopy::report_copies(threshold);
      return;
    }
    // Held by a reference of its own that is never given back: the core may call it until the process ends.
    PyObject* call = report.release().ptr();
    onecopy::report_copies(threshold, [call](const onecopy::copy_report& copy) {
      gil_or_nothing locked;
      try {
        nb::borrow<nb::callable>(call)(copy.bytes, copy.what);
      } catch (nb::python_error& e) {
        e.discard_as_unraisable("onecopy.report_copies");
      }
    });
  }, nb::arg("threshold"), nb::arg("report").none());
}

// on_evict may be any callable; it is called with the lock of the interpreter.
struct python_cache {
  nb::object on_evict;
  std::unique_ptr<onecopy::text_cache> core;
};

void bind_cache(nb::module_& m) {
  nb::class_<python_cache>(m, "Cache", nb::is_weak_referenceable())
      .def("__init__",
           [](python_cache* self, const std::string& name, std::optional<std::uint64_t> budget, double max_age,
              nb::object on_evict) {
             auto* made = new (self) python_cache{std::move(on_evict), nullptr};
             onecopy::cache_options options;
             options.name = name;
             if (budget) options.budget = *budget;
             options.max_age = max_age;
             options.check_interrupt = check_signals;
             if (!made->on_evict.is_none())
               options.on_evict = [made](const onecopy::eviction& what) {
                 nb::gil_scoped_acquire locked;
                 const char* why = what.why == onecopy::eviction::reason::age      ? "age"
                                   : what.why == onecopy::eviction::reason::budget ? "budget"
                                                                                   : "asked";
                 made->on_evict(what.key, what.bytes, why);
               };
             try {
               made->core = std::make_unique<onecopy::text_cache>(std::move(options));
             } catch (...) {
               made->~python_cache();
               throw;
             }
           },
           nb::arg("name"), nb::arg("budget").none(), nb::arg("max_age"), nb::arg("on_evict").none())
      .def("get",
           [](python_cache& self, const std::string& key, nb::handle load, double timeout) {
             nb::gil_scoped_release unlocked;
             return self.core->get(
                 key,
                 [&] {
                   nb::gil_scoped_acquire locked;
                   return nb::cast<value>(load());
                 },
                 timeout);
           })
      .def("find", [](python_cache& self, const std::string& key) { return self.core->find(key); }, release())
      .def("put", [](python_cache& self, const std::string& key, const value& v) { self.core->put(key, v); }, release())
      .def("trim", [](python_cache& self) { return self.core->trim(); }, release())
      .def("evict_unused", [](python_cache& self) { return self.core->evict_unused(); }, release())
      .def("remove", [](python_cache& self, const std::string& key) { return self.core->remove(key); }, release())
      .def("clear", [](python_cache& self) { self.core->clear(); }, release())
      .def("entries",
           [](python_cache& self) {
             nb::list out;
             for (const auto& e : self.core->entries()) out.append(nb::make_tuple(e.key, e.bytes, e.in_use, e.idle));
             return out;
           })
      .def("statistics", [](python_cache& self) {
        const auto s = self.core->statistics();
        return nb::make_tuple(s.entries, s.bytes, s.hits, s.attached, s.loads, s.evictions);
      });
}

}  // namespace

void bind_transport(nb::module_& m) {
  bind_channel(m);
  bind_cache(m);
  m.def("map_file",
        [](const std::string& path, int type, std::uint64_t offset, std::optional<std::uint64_t> count,
           std::vector<std::uint64_t> shape, bool column_major) {
          onecopy::map_options options;
          options.type = static_cast<onecopy::dtype>(type);
          options.offset = offset;
          options.count = count;
          options.shape = std::move(shape);
          options.order = column_major ? onecopy::memory_order::column_major : onecopy::memory_order::row_major;
          return onecopy::map_file(path, options);
        },
        nb::arg("path"), nb::arg("type"), nb::arg("offset"), nb::arg("count").none(), nb::arg("shape"),
        nb::arg("column_major"), release());
  m.def("check_intact", [](const onecopy::region& r) { r.check_intact(); });
  m.def("receive_descriptor",
        [](int descriptor, double timeout) { return value(onecopy::receive_descriptor(descriptor, timeout, check_signals)); },
        release());
  m.def("sealed_descriptor", [](const onecopy::region& whole) { return onecopy::sealed_descriptor(whole); }, release());
  nb::class_<onecopy::weak_reference>(m, "WeakReference")
      .def(nb::init<const value&>())
      .def_static("parse", [](const std::string& text) { return onecopy::weak_reference::parse(text); })
      .def("lock", [](const onecopy::weak_reference& self) { return self.lock(); }, release())
      .def_prop_ro("alive", &onecopy::weak_reference::alive)
      .def_prop_ro("text", &onecopy::weak_reference::text);
}

}  // namespace onecopy_python
