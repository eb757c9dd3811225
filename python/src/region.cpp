// Regions and private views as objects with the buffer protocol: what arrays have as their base.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cstring>

#include "bindings.hpp"

namespace onecopy_python {
namespace {

// A range of a region, copied on write for whoever holds this object.
struct private_pages {
  onecopy::region origin;
  std::size_t offset = 0;
  onecopy::private_view view;

  // Compares the bytes: the kernel's page flags would count a page that was only locked or written back.
  bool unchanged(std::size_t from, std::size_t size) const {
    if (from > view.size() || size > view.size() - from) return false;
    return std::memcmp(view.data() + from, origin.bytes().data() + offset + from, size) == 0;
  }
};

int region_buffer(PyObject* self, Py_buffer* out, int flags) {
  try {
    const auto& r = *nb::inst_ptr<onecopy::region>(self);
    const auto bytes = r.bytes();
    void* start = r.writable() ? r.writable_bytes() : const_cast<std::byte*>(bytes.data());
    return PyBuffer_FillInfo(out, self, start, static_cast<Py_ssize_t>(bytes.size()), r.writable() ? 0 : 1, flags);
  } catch (const std::exception& e) {
    out->obj = nullptr;
    PyErr_SetString(PyExc_BufferError, e.what());
    return -1;
  }
}

int private_buffer(PyObject* self, Py_buffer* out, int flags) {
  const auto& p = *nb::inst_ptr<private_pages>(self);
  return PyBuffer_FillInfo(out, self, p.view.data(), static_cast<Py_ssize_t>(p.view.size()), 0, flags);
}

PyType_Slot region_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(region_buffer)}, {0, nullptr}};
PyType_Slot private_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(private_buffer)}, {0, nullptr}};

}  // namespace

void bind_region(nb::module_& m) {
  using onecopy::region;
  nb::class_<region>(m, "Region", nb::type_slots(region_slots), nb::is_weak_referenceable())
      .def_prop_ro("address", [](const region& r) { return reinterpret_cast<std::uintptr_t>(r.bytes().data()); })
      .def_prop_ro("size", [](const region& r) { return r.bytes().size(); })
      .def_prop_ro("id", [](const region& r) { return r.id().text(); })
      .def_prop_ro("backing", [](const region& r) { return onecopy::name_of(r.where()); })
      .def_prop_ro("path", [](const region& r) { return r.path(); })
      .def_prop_ro("name", [](const region& r) { return r.name(); })
      .def_prop_ro("writable", &region::writable)
      .def("holders", &region::holders)
      .def("node", [](const region& r, std::uint32_t index) { return onecopy::value(r, index); }, nb::arg("index") = 0)
      // The array node whose data begin at this offset; None if there is none.
      .def("array_at",
           [](const region& r, std::uint64_t offset) -> std::optional<onecopy::value> {
             const auto count = onecopy::node_count(r);
             for (std::uint32_t i = 0; i < count; ++i) {
               onecopy::value v(r, i);
               if (v.kind() == onecopy::node_kind::array && v.data_offset() == offset) return v;
             }
             return std::nullopt;
           })
      .def("diverged", &region::diverged, nb::call_guard<nb::gil_scoped_release>())
      .def("handle", [](const region& r, std::uint32_t node, double lease) { return r.handle(node, lease).text(); },
           nb::arg("node") = 0, nb::arg("lease_seconds") = -1.0)
      .def("open_descriptor", &region::open_descriptor)
      .def("verify", [](const region& r) { onecopy::verify(r); }, nb::call_guard<nb::gil_scoped_release>())
      .def("private_pages",
           [](const region& r, std::size_t offset, std::size_t size) {
             return private_pages{r, offset, r.private_view(offset, size)};
           })
      .def("__eq__", [](const region& a, nb::handle b) { return nb::isinstance<region>(b) && a == nb::cast<region>(b); })
      .def("__hash__", [](const region& r) { return reinterpret_cast<std::intptr_t>(r.bytes().data()) >> 12; });

  nb::class_<private_pages>(m, "PrivatePages", nb::type_slots(private_slots), nb::is_weak_referenceable())
      .def_ro("region", &private_pages::origin)
      .def_ro("offset", &private_pages::offset)
      .def_prop_ro("address", [](const private_pages& p) { return reinterpret_cast<std::uintptr_t>(p.view.data()); })
      .def_prop_ro("size", [](const private_pages& p) { return p.view.size(); })
      .def("unchanged", &private_pages::unchanged, nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace onecopy_python
