// The functions of onecopy::store.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.hpp"

namespace onecopy_python {

void bind_store(nb::module_& m) {
  namespace store = onecopy::store;
  using release = nb::call_guard<nb::gil_scoped_release>;
  m.def("attach", [](const std::string& text) { return onecopy::attach(text); }, release());
  m.def("attach_name", [](const std::string& name) { return onecopy::attach_name(name); }, release());
  m.def("open_file", [](const std::string& path) { return onecopy::open(path); }, release());
  m.def("from_descriptor",
        [](int fd, bool trusted) { return onecopy::value(store::from_descriptor(fd, trusted)); }, release());
  m.def("import_region", [](const std::string& id, std::uint64_t bytes, nb::callable produce) {
    const auto which = onecopy::object_id::parse(id);
    nb::gil_scoped_release unlocked;
    return store::import(which, bytes, [&](std::uint64_t offset, std::span<std::byte> out) {
      gil_or_nothing locked;
      auto view = nb::steal(PyMemoryView_FromMemory(reinterpret_cast<char*>(out.data()),
                                                    static_cast<Py_ssize_t>(out.size()), PyBUF_WRITE));
      if (!view.is_valid()) throw nb::python_error();
      produce(offset, view);
      view.attr("release")();  // the memory behind it is used again
    });
  });
  m.def("checksum", [](nb::handle buffer) {
    Py_buffer view;
    if (PyObject_GetBuffer(buffer.ptr(), &view, PyBUF_SIMPLE) != 0) throw nb::python_error();
    std::uint64_t sum = 0;
    {
      nb::gil_scoped_release unlocked;
      sum = store::checksum({static_cast<const std::byte*>(view.buf), static_cast<std::size_t>(view.len)});
    }
    PyBuffer_Release(&view);
    return sum;
  });
  m.def("exists", [](const std::string& text) { return store::exists(onecopy::handle::parse(text)); }, release());
  m.def("looks_like_handle", [](const std::string& text) { return onecopy::handle::looks_like(text); });
  m.def("handle_id", [](const std::string& text) { return onecopy::handle::parse(text).id.text(); });
  m.def("list", [] {
    std::vector<store::entry> entries;
    {
      nb::gil_scoped_release unlocked;
      entries = store::list();
    }
    nb::list out;
    for (const auto& e : entries)
      out.append(nb::make_tuple(e.id.text(), e.name, e.bytes, e.created, e.lease_seconds, e.writable, e.in_memfd));
    return out;
  });
  m.def("holders", [](const std::vector<std::string>& texts) {
    std::vector<onecopy::object_id> ids;
    for (const auto& text : texts) ids.push_back(onecopy::object_id::parse(text));
    return store::holders(ids);
  }, release());
  m.def("collect", [] {
    store::collected c;
    {
      nb::gil_scoped_release unlocked;
      c = store::collect();
    }
    return nb::make_tuple(c.objects, c.bytes);
  });
  m.def("remove", [](const std::string& id) { return store::remove(onecopy::object_id::parse(id)); }, release());
  m.def("remove_name", [](const std::string& name) { return store::remove_name(name); }, release());
  m.def("find_name", [](const std::string& name) -> std::optional<std::string> {
    auto id = store::find_name(name);
    if (!id) return std::nullopt;
    return id->text();
  }, release());
  m.def("lease", [](const std::string& id, double seconds) { store::lease(onecopy::object_id::parse(id), seconds); },
        release());
  m.def("host_id", &store::host_id);
  m.def("store_id", &store::store_id);
  m.def("directory", &store::directory);
  m.def("doctor", [] {
    nb::list out;
    for (const auto& c : store::doctor()) {
      const char* level = c.state == store::check::level::ok ? "ok"
                          : c.state == store::check::level::warning ? "warning" : "error";
      out.append(nb::make_tuple(c.what, level, c.found, c.remedy));
    }
    return out;
  });
}

}  // namespace onecopy_python
