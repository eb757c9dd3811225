// The writer as Python's encoders use it. Addresses are of memory whose owner was given to keep().
#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.hpp"

namespace onecopy_python {
namespace {

using slot = onecopy::writer::slot;

struct string_items final : onecopy::string_source {
  std::vector<item> items;
  std::uint64_t size() const override { return items.size(); }
  item at(std::uint64_t i) const override { return items[i]; }
};

const void* pointer(std::uintptr_t address) { return reinterpret_cast<const void*>(address); }

onecopy::array_spec make_spec(int type, std::uint64_t count, std::vector<std::uint64_t> shape, bool scalar,
                              bool column_major, int semantic, int unit, std::size_t item_size,
                              std::uintptr_t validity) {
  onecopy::array_spec spec;
  spec.type = static_cast<onecopy::dtype>(type);
  spec.count = count;
  spec.shape = std::move(shape);
  spec.scalar = scalar;
  spec.order = column_major ? onecopy::memory_order::column_major : onecopy::memory_order::row_major;
  spec.semantic = static_cast<onecopy::semantic>(semantic);
  spec.unit = static_cast<onecopy::time_unit>(unit);
  spec.item_size = item_size;
  spec.validity = static_cast<const std::uint8_t*>(pointer(validity));
  return spec;
}

std::vector<onecopy::record_field> make_fields(nb::handle list) {
  std::vector<onecopy::record_field> out;
  for (nb::handle item : list) {
    auto f = nb::cast<nb::tuple>(item);
    onecopy::record_field field;
    field.name = nb::cast<std::string>(f[0]);
    field.type = static_cast<onecopy::dtype>(nb::cast<int>(f[1]));
    field.offset = nb::cast<std::uint64_t>(f[2]);
    field.item_size = nb::cast<std::size_t>(f[3]);
    field.shape = nb::cast<std::vector<std::uint64_t>>(f[4]);
    field.fields = make_fields(f[5]);
    out.push_back(std::move(field));
  }
  return out;
}

onecopy::backing parse_backing(const std::string& name) {
  for (auto b : {onecopy::backing::store, onecopy::backing::memfd, onecopy::backing::file})
    if (name == onecopy::name_of(b)) return b;
  throw nb::value_error("backing is 'store', 'memfd' or 'file'");
}

onecopy::region publish(tree_writer& w, const std::string& where, const std::string& name, bool replace,
                        bool writable, bool keep, const std::string& path, nb::object progress) {
  onecopy::publish_options options;
  options.where = parse_backing(where);
  options.name = name;
  options.replace = replace;
  options.writable = writable;
  options.keep = keep;
  options.path = path;
  // Always there, so that Ctrl-C ends the writing of something large.
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    gil_or_nothing locked;
    if (!progress.is_none()) progress(done, total);
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
  };
  nb::gil_scoped_release unlocked;
  return w.core.publish(options);
}

// Pieces for encoders written in Python.
std::vector<std::string_view>& keep_texts(tree_writer& w, nb::handle names) {
  auto& views = w.view_list();
  for (nb::handle n : names) {
    if (!PyUnicode_Check(n.ptr())) throw nb::type_error("names are str");
    w.kept.push_back(nb::borrow(n));
    views.push_back(as_utf8(n.ptr(), w.kept).text);
  }
  return views;
}

}  // namespace

std::shared_ptr<onecopy::string_source> make_string_source(nb::handle sequence, std::vector<nb::object>& kept) {
  auto source = std::make_shared<string_items>();
  // A list or tuple of its own: nobody can change it while publish() runs without the interpreter's lock.
  nb::object own = nb::steal(PySequence_Tuple(sequence.ptr()));
  if (!own.is_valid()) throw nb::python_error();
  const Py_ssize_t n = PyTuple_GET_SIZE(own.ptr());
  source->items.resize(static_cast<std::size_t>(n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* text = PyTuple_GET_ITEM(own.ptr(), i);
    auto& item = source->items[static_cast<std::size_t>(i)];
    if (text == Py_None) {
      item.missing = true;
    } else if (PyUnicode_Check(text)) {
      const auto encoded = as_utf8(text, kept);
      item.text = encoded.text;
      item.bytes = encoded.bytes;
      item.identity = text;
    } else {
      throw nb::type_error("strings are str or None");
    }
  }
  kept.push_back(std::move(own));
  return source;
}

void bind_writer(nb::module_& m) {
  nb::exception<container_in_itself>(m, "ContainerInItself", PyExc_ValueError);
  nb::class_<tree_writer>(m, "Writer")
      .def(nb::init<>())
      .def("keep", [](tree_writer& w, nb::object owner) { w.kept.push_back(std::move(owner)); })
      .def("size", [](const tree_writer& w) { return w.core.size(); })
      .def("null", [](tree_writer& w, slot at) { w.core.null(at); })
      // address 0: zeros.
      .def("array",
           [](tree_writer& w, slot at, int type, std::vector<std::uint64_t> shape, std::uint64_t count, bool scalar,
              bool column_major, std::uintptr_t address, int semantic, int unit, std::size_t item_size,
              std::uintptr_t validity) {
             w.core.array(at, make_spec(type, count, std::move(shape), scalar, column_major, semantic, unit, item_size,
                                        validity),
                          pointer(address));
           },
           nb::arg("at"), nb::arg("type"), nb::arg("shape"), nb::arg("count"), nb::arg("scalar"),
           nb::arg("column_major"), nb::arg("address"), nb::arg("semantic") = 0, nb::arg("unit") = 0,
           nb::arg("item_size") = 0, nb::arg("validity") = 0)
      .def("records",
           [](tree_writer& w, slot at, std::vector<std::uint64_t> shape, std::uint64_t count, bool scalar,
              bool column_major, std::uintptr_t address, std::size_t item_size, nb::handle fields) {
             const auto list = make_fields(fields);
             w.core.records(at, make_spec(static_cast<int>(onecopy::dtype::record), count, std::move(shape), scalar,
                                          column_major, 0, 0, item_size, 0),
                            list, pointer(address));
           })
      .def("strings",
           [](tree_writer& w, slot at, nb::handle sequence) {
             auto source = make_string_source(sequence, w.kept);
             w.core.strings(at, *source);
             w.core.keep(source);
           })
      .def("arrow_strings",
           [](tree_writer& w, slot at, std::uint64_t count, std::uintptr_t offsets, int offset_bytes,
              std::uintptr_t bytes, std::uintptr_t validity) {
             w.core.arrow_strings(at, count, pointer(offsets), offset_bytes, static_cast<const char*>(pointer(bytes)),
                                  static_cast<const std::uint8_t*>(pointer(validity)));
           })
      .def("categorical",
           [](tree_writer& w, slot at, int type, std::uint64_t count, std::uintptr_t codes, int code_base,
              bool ordered) {
             return w.core.categorical(at, make_spec(type, count, {}, false, true, 0, 0, 0, 0), pointer(codes),
                                       code_base, ordered);
           })
      .def("coded_strings",
           [](tree_writer& w, slot at, int type, std::uint64_t count, std::uintptr_t codes, int code_base) {
             return w.core.coded_strings(at, make_spec(type, count, {}, false, true, 0, 0, 0, 0), pointer(codes),
                                         code_base);
           })
      .def("opaque",
           [](tree_writer& w, slot at, const std::string& tag, std::uintptr_t address, std::size_t size) {
             w.core.opaque(at, w.text(tag), {static_cast<const std::byte*>(pointer(address)), size});
           })
      .def("list",
           [](tree_writer& w, slot at, std::uint64_t children, int form) {
             return w.core.list(at, children, static_cast<onecopy::list_form>(form));
           })
      .def("table", [](tree_writer& w, slot at, std::uint64_t columns,
                       std::uint64_t rows) { return w.core.table(at, columns, rows); })
      .def("attributes",
           [](tree_writer& w, slot at, nb::handle names) { return w.core.attributes(at, keep_texts(w, names)); })
      .def("plain", [](nb::handle self, slot at, nb::handle object, nb::handle other) {
        write_plain(nb::cast<tree_writer&>(self), self, at, object, other);
      }, nb::arg("at"), nb::arg("object").none(), nb::arg("other"))
      .def("publish", &publish, nb::arg("where") = "store", nb::arg("name") = "", nb::arg("replace") = false,
           nb::arg("writable") = false, nb::arg("keep") = false, nb::arg("path") = "",
           nb::arg("progress") = nb::none());
}

}  // namespace onecopy_python
