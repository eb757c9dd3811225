// Builtin values and containers of them, written without going through Python code for each element.
//
// A list, tuple or set whose elements are all float, all int, all bool or all str (or None) becomes one vector with a
// note of what it was: R and C++ read it as a vector, and a million elements cost a vector and not a million nodes.
#include <array>
#include <cstring>

#include "bindings.hpp"

namespace onecopy_python {
namespace {

using onecopy::dtype;
using onecopy::list_form;
using slot = onecopy::writer::slot;

enum class uniform { no, floats, ints, bools, texts };

class plain_writer {
 public:
  plain_writer(tree_writer& w, nb::handle self, nb::handle other) : w_(w), self_(self), other_(other) {}

  void write(slot at, PyObject* o) {
    if (o == Py_None) {
      w_.core.null(at);
    } else if (PyFloat_CheckExact(o)) {
      scalar(at, PyFloat_AS_DOUBLE(o));
    } else if (PyBool_Check(o)) {
      scalar(at, o == Py_True);
    } else if (PyLong_CheckExact(o)) {
      int overflow = 0;
      const long long number = PyLong_AsLongLongAndOverflow(o, &overflow);
      if (overflow) return other(at, o);
      scalar(at, static_cast<std::int64_t>(number));
    } else if (PyUnicode_CheckExact(o)) {
      text(at, o);
    } else if (PyComplex_CheckExact(o)) {
      scalar(at, std::complex<double>(PyComplex_RealAsDouble(o), PyComplex_ImagAsDouble(o)));
    } else if (PyBytes_CheckExact(o)) {
      bytes(at, o);
    } else if (PyList_CheckExact(o)) {
      sequence(at, nb::steal(PyList_AsTuple(o)), o, list_form::list, "list");
    } else if (PyTuple_CheckExact(o)) {
      sequence(at, nb::borrow(o), o, list_form::tuple, "tuple");
    } else if (PySet_CheckExact(o) || PyFrozenSet_CheckExact(o)) {
      const bool frozen = PyFrozenSet_CheckExact(o);
      sequence(at, nb::steal(PySequence_Tuple(o)), o, frozen ? list_form::frozenset : list_form::set,
               frozen ? "frozenset" : "set");
    } else if (PyDict_CheckExact(o)) {
      dictionary(at, o);
    } else {
      other(at, o);
    }
  }

 private:
  // Notes that `o` is being written, so that a container inside itself is an error instead of an endless tree.
  struct entered {
    tree_writer& w;
    entered(tree_writer& writer, PyObject* o) : w(writer) {
      for (PyObject* open : w.open_containers)
        if (open == o) throw container_in_itself();
      if (Py_EnterRecursiveCall(" while sharing nested containers")) throw nb::python_error();
      w.open_containers.push_back(o);
    }
    ~entered() {
      w.open_containers.pop_back();
      Py_LeaveRecursiveCall();
    }
    entered(const entered&) = delete;
    entered& operator=(const entered&) = delete;
  };

  void other(slot at, PyObject* o) {
    entered here(w_, o);
    other_(self_, at, nb::borrow(o));
  }

  template <class T>
  void scalar(slot at, T number) {
    auto& block = w_.block(sizeof(T));
    std::memcpy(block.data(), &number, sizeof(T));
    w_.core.array(at, {.type = onecopy::dtype_of<T>, .count = 1, .scalar = true}, block.data());
  }

  void text(slot at, PyObject* o) {
    w_.kept.push_back(nb::borrow(o));
    const auto encoded = as_utf8(o, w_.kept);
    if (encoded.bytes) {  // only a source can mark them
      nb::object one = nb::steal(PyTuple_Pack(1, o));
      return strings(at, one);
    }
    auto& views = w_.view_list();
    views.push_back(encoded.text);
    w_.core.strings(at, views);
  }

  void strings(slot at, nb::handle items) {
    auto source = make_string_source(items, w_.kept);
    w_.core.strings(at, *source);
    w_.core.keep(source);
  }

  void bytes(slot at, PyObject* o) {
    w_.kept.push_back(nb::borrow(o));
    w_.core.array(at, {.type = dtype::raw, .count = static_cast<std::uint64_t>(PyBytes_GET_SIZE(o))},
                  PyBytes_AS_STRING(o));
    note(at, "bytes");
  }

  // `kind` is a literal.
  void note(slot at, std::string_view kind) {
    static const std::array<std::string_view, 1> name{note_name};
    const slot value = w_.core.attributes(at, name);
    auto& views = w_.view_list();
    views.push_back(kind);
    w_.core.strings(value, views);
  }

  static uniform what_all_are(PyObject* items) {
    const Py_ssize_t n = PyTuple_GET_SIZE(items);
    if (n == 0) return uniform::no;
    uniform all = uniform::no;
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyObject* o = PyTuple_GET_ITEM(items, i);
      uniform one = uniform::no;
      if (PyFloat_CheckExact(o)) {
        one = uniform::floats;
      } else if (PyBool_Check(o)) {
        one = uniform::bools;
      } else if (PyUnicode_CheckExact(o)) {
        one = uniform::texts;
      } else if (o == Py_None && all == uniform::texts) {
        one = uniform::texts;
      } else if (PyLong_CheckExact(o)) {
        int overflow = 0;
        PyLong_AsLongLongAndOverflow(o, &overflow);
        if (!overflow) one = uniform::ints;
      }
      if (one == uniform::no || (i > 0 && one != all)) return uniform::no;
      all = one;
    }
    return all;
  }

  template <class T, class Get>
  void vector(slot at, PyObject* items, Get get) {
    const Py_ssize_t n = PyTuple_GET_SIZE(items);
    auto& block = w_.block(static_cast<std::size_t>(n) * sizeof(T));
    auto* out = reinterpret_cast<T*>(block.data());
    for (Py_ssize_t i = 0; i < n; ++i) out[i] = get(PyTuple_GET_ITEM(items, i));
    w_.core.array(at, {.type = onecopy::dtype_of<T>, .count = static_cast<std::uint64_t>(n)}, out);
  }

  void sequence(slot at, nb::object items, PyObject* whole, list_form form, std::string_view kind) {
    if (!items.is_valid()) throw nb::python_error();
    switch (what_all_are(items.ptr())) {
      case uniform::floats:
        vector<double>(at, items.ptr(), [](PyObject* o) { return PyFloat_AS_DOUBLE(o); });
        return note(at, kind);
      case uniform::ints:
        vector<std::int64_t>(at, items.ptr(), [](PyObject* o) { return PyLong_AsLongLong(o); });
        return note(at, kind);
      case uniform::bools:
        vector<bool>(at, items.ptr(), [](PyObject* o) { return o == Py_True; });
        return note(at, kind);
      case uniform::texts:
        strings(at, items);
        return note(at, kind);
      case uniform::no:
        break;
    }
    entered here(w_, whole);
    const Py_ssize_t n = PyTuple_GET_SIZE(items.ptr());
    slot child = w_.core.list(at, static_cast<std::uint64_t>(n), form);
    for (Py_ssize_t i = 0; i < n; ++i) write(child++, PyTuple_GET_ITEM(items.ptr(), i));
    w_.kept.push_back(std::move(items));
  }

  void dictionary(slot at, PyObject* o) {
    entered here(w_, o);
    nb::object keys = nb::steal(PyDict_Keys(o)), values = nb::steal(PyDict_Values(o));
    if (!keys.is_valid() || !values.is_valid()) throw nb::python_error();
    const Py_ssize_t n = PyList_GET_SIZE(keys.ptr());
    bool named = true;
    for (Py_ssize_t i = 0; i < n && named; ++i) {
      PyObject* key = PyList_GET_ITEM(keys.ptr(), i);
      named = PyUnicode_CheckExact(key) && PyUnicode_AsUTF8(key) != nullptr;
      PyErr_Clear();  // a key with lone surrogates is no name
    }
    if (!named) {
      const slot both = w_.core.list(at, 2, list_form::dict);
      write(both, keys.ptr());
      write(both + 1, values.ptr());
      return;
    }
    slot child = w_.core.list(at, static_cast<std::uint64_t>(n), list_form::dict);
    auto& names = w_.view_list();
    names.reserve(static_cast<std::size_t>(n));
    for (Py_ssize_t i = 0; i < n; ++i) {
      names.push_back(as_utf8(PyList_GET_ITEM(keys.ptr(), i), w_.kept).text);
      write(child++, PyList_GET_ITEM(values.ptr(), i));
    }
    w_.core.names(at, names);
    w_.kept.push_back(std::move(keys));
    w_.kept.push_back(std::move(values));
  }

  tree_writer& w_;
  nb::handle self_, other_;
};

}  // namespace

void write_plain(tree_writer& w, nb::handle self, slot at, nb::handle object, nb::handle other) {
  plain_writer(w, self, other).write(at, object.ptr());
}

}  // namespace onecopy_python
