// One node of a shared object, read in place. Offsets are counted from the start of the region, so that Python can
// build its views on the region's buffer.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "bindings.hpp"

namespace onecopy_python {
namespace {

using onecopy::value;

nb::object shape_of(const value& v) {
  const auto shape = v.shape();
  nb::object out = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(shape.size())));
  for (std::size_t i = 0; i < shape.size(); ++i)
    PyTuple_SET_ITEM(out.ptr(), static_cast<Py_ssize_t>(i), PyLong_FromUnsignedLongLong(shape[i]));
  return out;
}

std::uint64_t offset_in_region(const value& v, const void* p) {
  return static_cast<std::uint64_t>(static_cast<const std::byte*>(p) - v.region().bytes().data());
}

nb::object fields_of(const std::vector<onecopy::record_field>& fields) {
  nb::list out;
  for (const auto& f : fields) {
    nb::list shape;
    for (auto n : f.shape) shape.append(n);
    out.append(nb::make_tuple(f.name, static_cast<int>(f.type), f.offset, f.item_size, nb::tuple(shape),
                              fields_of(f.fields)));
  }
  return out;
}

nb::object optional_offset(const value& v, const void* p) {
  return p ? nb::cast(offset_in_region(v, p)) : nb::none();
}

// Everything a view of an array needs, in one call: attaching an array must cost microseconds.
nb::object array_parts(const value& v) {
  return nb::make_tuple(nb::cast(v.region()), static_cast<int>(v.type()), shape_of(v), v.data_offset(),
                        v.order() == onecopy::memory_order::column_major ? "F" : "C",
                        static_cast<int>(v.semantic()), static_cast<int>(v.unit()), v.item_size());
}

}  // namespace

utf8 as_utf8(PyObject* text, std::vector<nb::object>& kept) {
  if (PyUnicode_IS_COMPACT_ASCII(text))
    return {{static_cast<const char*>(PyUnicode_DATA(text)), static_cast<std::size_t>(PyUnicode_GET_LENGTH(text))}};
  bool bytes = false;
  PyObject* encoded = PyUnicode_AsUTF8String(text);
  if (!encoded) {
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) throw nb::python_error();
    PyErr_Clear();
    encoded = PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape");
    if (!encoded) throw nb::python_error();
    bytes = true;
  }
  kept.push_back(nb::steal(encoded));
  return {{PyBytes_AS_STRING(encoded), static_cast<std::size_t>(PyBytes_GET_SIZE(encoded))}, bytes};
}

nb::object as_str(std::string_view text) {
  PyObject* out = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape");
  if (!out) throw nb::python_error();
  return nb::steal(out);
}

void bind_node(nb::module_& m) {
  nb::class_<value>(m, "Node")
      .def_prop_ro("region", &value::region)
      .def_prop_ro("index", &value::index)
      .def("handle", [](const value& v, double lease) { return v.handle(lease).text(); },
           nb::arg("lease_seconds") = -1.0)
      .def_prop_ro("kind", [](const value& v) { return static_cast<int>(v.kind()); })
      .def_prop_ro("kind_name", [](const value& v) { return onecopy::name_of(v.kind()); })
      .def_prop_ro("type", [](const value& v) { return static_cast<int>(v.type()); })
      .def_prop_ro("type_name", [](const value& v) { return onecopy::name_of(v.type()); })
      .def_prop_ro("semantic", [](const value& v) { return static_cast<int>(v.semantic()); })
      .def_prop_ro("unit", [](const value& v) { return static_cast<int>(v.unit()); })
      .def_prop_ro("form", [](const value& v) { return static_cast<int>(v.form()); })
      .def_prop_ro("size", &value::size)
      .def("__len__", &value::size)
      .def_prop_ro("rows", &value::rows)
      .def_prop_ro("ordered", &value::ordered)
      .def_prop_ro("code_base", &value::code_base)
      .def_prop_ro("item_size", &value::item_size)
      .def_prop_ro("shape", &shape_of)
      .def_prop_ro("column_major", [](const value& v) { return v.order() == onecopy::memory_order::column_major; })
      .def_prop_ro("data_offset", &value::data_offset)
      .def_prop_ro("data_bytes", &value::data_bytes)
      .def("array_parts", &array_parts)
      .def_prop_ro("validity_offset", [](const value& v) { return optional_offset(v, v.validity()); })
      .def("is_missing", &value::is_missing)
      .def("string_layout",
           [](const value& v) {
             const auto s = v.strings();
             return nb::make_tuple(offset_in_region(v, s.offsets), s.offset_bytes, offset_in_region(v, s.bytes),
                                   s.bytes_size);
           })
      .def_prop_ro("encodings_offset", [](const value& v) { return optional_offset(v, v.encodings()); })
      // All strings as a list of str and None.
      .def("string_list",
           [](const value& v) {
             const auto n = v.size();
             nb::object out = nb::steal(PyList_New(static_cast<Py_ssize_t>(n)));
             if (!out.is_valid()) throw nb::python_error();
             for (std::uint64_t i = 0; i < n; ++i) {
               nb::object item = v.is_missing(i) ? nb::none() : as_str(v.string(i));
               PyList_SET_ITEM(out.ptr(), static_cast<Py_ssize_t>(i), item.release().ptr());
             }
             return out;
           })
      .def("check_codes", &value::check_codes, nb::call_guard<nb::gil_scoped_release>())
      .def("dictionary", &value::dictionary)
      .def("fields", [](const value& v) { return fields_of(v.fields()); })
      .def("child", &value::child)
      .def("find", [](const value& v, const std::string& name) { return v.find(name); })
      .def("tag", [](const value& v) { return std::string(v.tag()); })
      .def("opaque_range",
           [](const value& v) {
             const auto bytes = v.opaque_bytes();
             return nb::make_tuple(offset_in_region(v, bytes.data()), bytes.size());
           })
      .def("attribute_names",
           [](const value& v) {
             nb::list out;
             for (std::size_t i = 0; i < v.attribute_count(); ++i) out.append(as_str(v.attribute_name(i)));
             return out;
           })
      .def("attribute", [](const value& v, const std::string& name) { return v.attribute(name); })
      // The note of this package, or "".
      .def("note",
           [](const value& v) {
             if (v.attribute_count() == 0) return std::string();
             const auto note = v.attribute(std::string_view(note_name));
             if (!note || note->kind() != onecopy::node_kind::string || note->size() != 1) return std::string();
             return std::string(note->string(0));
           })
      .def("load", &read_plain);
}

}  // namespace onecopy_python
